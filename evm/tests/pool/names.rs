use std::{fs, path::Path};

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| line.contains("\"eth_"));
            found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
        }
    }
}

#[test]
fn no_method_of_json_rpc_is_named_outside_of_this_crate() {
    let mut found = Vec::new();
    for folder in ["../operator/src", "../cli/src"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    assert!(
        found.is_empty(),
        "ask with a typed call of alloy's provider, or name it in evm/src/methods.rs: {found:#?}"
    );
}
