//! `docs/reference/cli.md` has every command and option that can be typed.
//!
//! `HAWSER_WRITE_DOCS=1 cargo test -p hawser-cli the_reference` rewrites the page's tables.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use crate::args::Args;

#[test]
fn the_reference_has_the_commands_and_options_that_there_are() {
    hawser_pages::assert_table("reference/cli.md", "table", &tables());
}

fn tables() -> String {
    let mut hawser = Args::command();
    hawser.build();
    let mut text = String::new();
    let about = hawser.get_long_about().unwrap().to_string();
    let (_, codes) = about.split_once("Exit codes: ").unwrap();
    writeln!(text, "\n## Exit codes\n\n| code | when |\n|--:|---|").unwrap();
    for part in codes.split("; ") {
        let (code, when) = part.split_once(' ').unwrap();
        writeln!(text, "| {code} | {} |", cell(when).trim_end_matches('.')).unwrap();
    }
    writeln!(text, "\n## Options of every command").unwrap();
    options(&hawser, |_| true, &mut text);
    commands(&hawser, &mut text);
    text
}

/// A section for each command below `above` that does something itself.
fn commands(above: &Command, text: &mut String) {
    for command in above.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set()) {
        if command.has_subcommands() {
            commands(command, text);
            continue;
        }
        let usage = command.clone().render_usage().to_string();
        let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
        let about = command.get_long_about().or(command.get_about()).unwrap();
        let name = command.get_bin_name().unwrap();
        writeln!(text, "\n## {name}\n\n{about}.\n\n```text\n{usage}\n```").unwrap();
        options(command, |arg| !arg.is_global_set(), text);
    }
}

/// A row for each argument of `command` that is `wanted`; without one, nothing.
fn options(command: &Command, wanted: impl Fn(&Arg) -> bool, text: &mut String) {
    let own = |arg: &&Arg| wanted(arg) && !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let args: Vec<_> = command.get_arguments().filter(own).collect();
    if args.is_empty() {
        return;
    }
    writeln!(text, "\n| option | environment | default | what it does |\n|---|---|---|---|").unwrap();
    for arg in args {
        let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let env = arg.get_env().map(|name| format!("`{}`", name.display())).unwrap_or_default();
        let default = match arg.get_default_values() {
            _ if arg.is_required_set() => "required".to_owned(),
            [value] if arg.get_action().takes_values() => format!("`{}`", value.display()),
            _ => String::new(),
        };
        let about = arg.get_long_help().or(arg.get_help()).map(|about| cell(&about.to_string())).unwrap_or_default();
        let values = arg.get_possible_values().into_iter().filter(|_| arg.get_action().takes_values());
        let values: Vec<_> = values.map(|value| format!("`{}`", value.get_name())).collect();
        let values = if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
        writeln!(text, "| `{}` | {env} | {default} | {about}{values} |", cell(&format!("{short}{arg}"))).unwrap();
    }
}

/// Text in a table's cell: in one line, and without what ends the cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
