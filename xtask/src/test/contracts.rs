//! The contracts: format, tests, and the files that are generated from them; or the same tests with many more runs, and whether
//! they notice mutations of the sources.

use std::process::Command;

use hawser_local::{Layout, npm};

use super::summary::{Expected, Summary, forge};
use crate::workspace::{self, show};

pub(crate) fn run(layout: &Layout, deep: bool, summary: &mut Summary) {
    let contracts = workspace::root().join("contracts");
    summary.check("npm ci (contracts)", || {
        npm::install(layout)?;
        show(Command::new("npm").current_dir(&contracts).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
    });
    let script = |name: &str| {
        let mut npm = Command::new("npm");
        npm.current_dir(&contracts).args(["run", "--silent", name]);
        npm
    };
    if deep {
        summary.tests("forge test, deep profile", &mut script("test:deep"), forge, Expected::Some);
        return summary.check("each mutation is noticed", || show(&mut script("mutations")));
    }
    summary.check("forge fmt", || show(&mut script("fmt")));
    summary.tests("forge test", &mut script("test"), forge, Expected::Some);
    summary.check("ABI and bytecode in sync", || show(&mut script("artifacts:check")));
    summary.check("gas by receipts", || show(&mut script("gas:receipts:check")));
}
