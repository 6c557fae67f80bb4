//! An EVM node of its own for each test.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

pub(crate) struct Anvil {
    process: Child,
    pub(crate) url: String,
}

impl Anvil {
    /// Starts the node that `HAWSER_ANVIL` names, or the one on the path, on a port that is free.
    pub(crate) fn start() -> Self {
        let program = env::var("HAWSER_ANVIL").unwrap_or_else(|_| "anvil".to_owned());
        let mut process =
            Command::new(&program).args(["--port", "0"]).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
                panic!("{program} can't be run ({error}): set HAWSER_ANVIL to the anvil program")
            });
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let listening =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("Listening on ")?.to_owned()));
        Self { process, url: format!("http://{}", listening.expect("anvil ended before it listened")) }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
