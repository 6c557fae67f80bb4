//! What people read: spelling, the book, and where its links lead.

use hawser_local::Layout;

use super::tally::Tally;
use crate::tools::Wheels;
use crate::workspace::show;

pub(crate) fn run(layout: &Layout, tally: &mut Tally) {
    let mut wheels = None;
    tally.check("programs of PyPI", || {
        wheels = Some(Wheels::install(layout)?);
        Ok(())
    });
    let Some(wheels) = wheels else { return };
    // What it may find is in `_typos.toml`.
    tally.check("typos", || show(&mut wheels.program("typos")?));
}
