//! `hawser`: buys GPU time on a Hawser market, follows the job and checks the evidence; for providers, sets their keys and
//! shows what they earned.

use std::process::ExitCode;

use clap::Parser;

mod args;
mod card;
mod chain;
mod commands;
mod csv;
mod earnings;
mod evidence;
mod failure;
mod job;
mod key;
mod order;
mod output;
mod parse;
#[cfg(test)]
mod reference;

fn main() -> ExitCode {
    let args = args::Args::parse();
    // The HTTP client is built without a TLS provider of its own, so that the tree holds one only. An error says
    // that one was installed already, which can't be here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::progress(format!("hawser: the asynchronous runtime can't start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::progress(format!("hawser: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}
