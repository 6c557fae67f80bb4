//! Tables of the pages in `docs/` that are made from code. A test of the code that knows what belongs in a table holds that
//! the page has just that, and rewrites it where `HAWSER_WRITE_DOCS` is set.
//!
//! A table is between `<!-- NAME: begin -->` and `<!-- NAME: end -->`, each on a line of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests alone")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Holds that the table of this name on a page is `table`, lines that end in a newline.
///
/// # Panics
/// Where the page has another one, with the lines in which they differ; or where it has none of that name.
pub fn assert_table(page: &str, name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let Some(there) = find(&text, name) else { panic!("docs/{page} has no table {name}") };
    if text[there.clone()] == *table {
        return;
    }
    if std::env::var_os("HAWSER_WRITE_DOCS").is_some() {
        fs::write(&path, [&text[..there.start], table, &text[there.end..]].concat()).unwrap();
    } else {
        let differ = differ(&text[there], table);
        panic!("docs/{page} is not what the code says: run this test with HAWSER_WRITE_DOCS=1\n{differ}");
    }
}

/// Where the table stands in a page.
fn find(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let begin = format!("<!-- {name}: begin -->\n");
    let start = text.find(&begin)? + begin.len();
    Some(start..start + text[start..].find(&format!("<!-- {name}: end -->"))?)
}

/// Lines that only one of the two has, or what they have in another order.
fn differ(written: &str, table: &str) -> String {
    let [old, new] = [written, table].map(|text| text.lines().collect::<BTreeSet<_>>());
    let only = |sign, one: &BTreeSet<&str>, other: &BTreeSet<&str>| -> String {
        one.difference(other).flat_map(|line| [sign, *line, "\n"]).collect()
    };
    let lines = [only("- ", &old, &new), only("+ ", &new, &old)].concat();
    if lines.is_empty() { "the same lines, in another order or number".to_owned() } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n<!-- a: begin -->\none\ntwo\n<!-- a: end -->\n<!-- b: begin -->\n<!-- b: end -->\n";

    #[test]
    fn a_table_is_found_by_its_name() {
        assert_eq!(find(PAGE, "a").map(|there| &PAGE[there]), Some("one\ntwo\n"));
        assert_eq!(find(PAGE, "b").map(|there| &PAGE[there]), Some(""));
        assert_eq!(find(PAGE, "c"), None);
    }

    #[test]
    fn the_lines_in_which_tables_differ_are_named_and_no_others() {
        assert_eq!(differ("one\ntwo\n", "two\nthree\n"), "- one\n+ three\n");
        assert!(differ("one\ntwo\n", "two\none\n").contains("order"));
    }
}
