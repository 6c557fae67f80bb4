//! What people read: spelling, the book, and where its links lead.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use hawser_local::Layout;

use super::summary::Summary;
use crate::tools::{self, Crate, Wheels};
use crate::workspace;

/// Without its server, and without the search index: pages are checked and then thrown away.
const MDBOOK: Crate = Crate { name: "mdbook", version: "0.5.4", install: &["--no-default-features"] };

pub(crate) fn run(layout: &Layout, summary: &mut Summary) {
    let mut wheels = None;
    summary.check("programs of PyPI", || {
        wheels = Some(Wheels::install(layout)?);
        Ok(())
    });
    let Some(wheels) = wheels else { return };
    // What it may find is in `_typos.toml`.
    summary.check("typos", || clean(wheels.program("typos")?.arg("--format=brief")).map(drop));
    summary.check("links in Markdown", || {
        clean(links(&mut wheels.program("lychee")?).args(["--extensions=md", "."])).map(drop)
    });
    summary.check("docs/SUMMARY.md leads to every page", || {
        let docs = workspace::root().join("docs");
        let summary = fs::read_to_string(docs.join("SUMMARY.md")).context("docs/SUMMARY.md can't be read")?;
        let mut pages = BTreeSet::new();
        add_pages(&docs, "", &mut pages)?;
        let left_out = left_out(&pages, &summary);
        ensure!(left_out.is_empty(), "docs/SUMMARY.md does not have {}", left_out.join(", "));
        Ok(())
    });
    summary.check("each decision has a status, a date and its row in docs/adr/README.md", || {
        let folder = workspace::root().join("docs/adr");
        let table = fs::read_to_string(folder.join("README.md")).context("docs/adr/README.md can't be read")?;
        let mut names = BTreeSet::new();
        add_pages(&folder, "", &mut names)?;
        names.remove("README.md");
        let mut faults = Vec::new();
        for name in names {
            let page = fs::read_to_string(folder.join(&name)).with_context(|| name.clone())?;
            faults.extend(fault_of_decision(&name, &page, &table));
        }
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    });
    summary.check("mdbook build, and links in its pages", || {
        let mdbook = tools::from_crates_io(layout, &MDBOOK)?;
        let book = tempfile::tempdir()?;
        let mut build = Command::new(mdbook);
        build.arg("build").arg("--dest-dir").arg(book.path()).arg(workspace::root().join("docs"));
        let said = clean(&mut build)?;
        // It only warns of much that leaves a page broken.
        ensure!(!said.contains("WARN"), "{said}");
        // What was right in Markdown can still be wrong here: mdBook renames pages and headings, and leaves out what
        // is not below docs/. `print.html` repeats all pages.
        let mut lychee = wheels.program("lychee")?;
        links(&mut lychee).current_dir(book.path()).arg("--root-dir").arg(book.path());
        clean(lychee.args(["--index-files=index.html", "--exclude-path=print.html", "."])).map(drop)
    });
}

/// Files and headings that links lead to must be there. Nothing outside is asked.
fn links(lychee: &mut Command) -> &mut Command {
    lychee.args(["--offline", "--include-fragments", "--hidden", "--no-progress", "--mode=plain"])
}

/// Runs a checker in silence. What it found is in the error: some see only the end of a log, where errors are repeated.
fn clean(checker: &mut Command) -> Result<String> {
    let output = checker.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{} can't be run", checker.get_program().display()))?;
    let said =
        [output.stdout, output.stderr].map(|stream| String::from_utf8_lossy(&stream).trim().to_owned()).join("\n");
    ensure!(output.status.success(), "{}", said.trim());
    Ok(said)
}

/// Markdown below `folder`, as links in `docs/SUMMARY.md` name it.
fn add_pages(folder: &Path, above: &str, pages: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))? {
        let path = entry?.path();
        let name = format!("{above}{}", path.file_name().unwrap_or_default().display());
        if path.is_dir() {
            add_pages(&path, &format!("{name}/"), pages)?;
        } else if path.extension().is_some_and(|extension| extension == "md") && name != "SUMMARY.md" {
            pages.insert(name);
        }
    }
    Ok(())
}

/// Pages that the book does not have.
fn left_out<'a>(pages: &'a BTreeSet<String>, summary: &str) -> Vec<&'a str> {
    let is_in = |page: &&str| summary.contains(&format!("]({page})"));
    pages.iter().map(String::as_str).filter(|page| !is_in(page)).collect()
}

/// What a decision's head lacks, or the row that the table of all decisions lacks.
fn fault_of_decision(name: &str, page: &str, table: &str) -> Option<String> {
    let line = |begin: &str| page.lines().find_map(|line| line.strip_prefix(begin));
    let (Some(title), Some(status), Some(date)) = (line("# "), line("- Status: "), line("- Date: ")) else {
        return Some(format!("docs/adr/{name}: its head is not a title, `- Status: ...` and `- Date: ...`"));
    };
    let row = format!("| [{title}]({name}) | {status} | {date} |");
    (!table.lines().any(|line| line == row)).then(|| format!("docs/adr/README.md does not have {row}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_the_summary_does_not_lead_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("adr")).unwrap();
        for file in ["SUMMARY.md", "README.md", "book.toml", "adr/1.md", "adr/2.md"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let mut pages = BTreeSet::new();
        add_pages(folder.path(), "", &mut pages).unwrap();
        assert_eq!(left_out(&pages, "[Hawser](README.md)\n- [1](adr/1.md)\n- [2](2.md)"), ["adr/2.md"]);
    }

    #[test]
    fn a_decision_without_status_or_row_is_named() {
        let table = "| [1: a](0001-a.md) | accepted | 2026-11-22 |\n| [2: b](0002-b.md) | accepted | 2026-11-22 |";
        let page = |title: &str, status: &str| format!("# {title}\n\n- Status: {status}\n- Date: 2026-11-22\n");
        assert_eq!(fault_of_decision("0001-a.md", &page("1: a", "accepted"), table), None);
        let fault = fault_of_decision("0002-b.md", &page("2: b", "superseded by 3"), table).unwrap();
        assert!(fault.ends_with("| [2: b](0002-b.md) | superseded by 3 | 2026-11-22 |"), "{fault}");
        let fault = fault_of_decision("0003-c.md", "# 3: c\n\n**Context.** ...", table).unwrap();
        assert!(fault.contains("0003-c.md: its head"), "{fault}");
    }
}
