//! What can be typed.

use std::path::PathBuf;

use alloy::primitives::{Address, B256};
use clap::{Parser, Subcommand};
use hawser_market::{JobId, OfferId};

use crate::{earnings::GroupBy, failure::Failure, job::Milestone, output::Format, parse};

/// Buys GPU time on a Hawser market, follows the job and checks the evidence; shows providers what they earned.
///
/// Exit codes: 0 done; 1 refused by the market, the token or the node, nobody answered, a transaction may still be mined, the
/// job failed, or the evidence is wrong or not there; 2 bad input; 3 the evidence is right, with warnings; 130 Ctrl-C while a
/// job was watched, which goes on.
#[derive(Debug, Parser)]
#[command(name = "hawser", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) key: KeySource,
    /// Table for people, JSON for programs
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the market is.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// JSON-RPC endpoint of an EVM node; several, separated by commas, are used in this order: if one fails, the next is asked
    #[arg(
        long = "rpc-url",
        global = true,
        env = "HAWSER_RPC_URL",
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub(crate) rpc_urls: Vec<String>,
    /// Address of the market's contract
    #[arg(long, global = true, env = "HAWSER_MARKET", value_name = "ADDRESS", value_parser = parse::address)]
    pub(crate) market: Option<Address>,
    /// The chain's id (EIP-155): a node of another chain is refused
    #[arg(long, global = true, env = "HAWSER_CHAIN_ID", value_name = "ID")]
    pub(crate) chain_id: Option<u64>,
    /// First block to look for events in; the block of the market's deployment saves time on long chains
    #[arg(long, global = true, env = "HAWSER_FROM_BLOCK", default_value_t = 0, value_name = "BLOCK")]
    pub(crate) from_block: u64,
}

/// Where the key is that orders and pays, or sells. Without a keystore it is read from `HAWSER_PRIVATE_KEY`.
#[derive(Debug, clap::Args)]
pub(crate) struct KeySource {
    /// Keystore file (Web3 Secret Storage); its password is asked for, or read from the file that
    /// `HAWSER_PASSWORD_FILE` names. Without it: the environment variable `HAWSER_PRIVATE_KEY`
    #[arg(long, global = true, env = "HAWSER_KEYSTORE", value_name = "FILE")]
    pub(crate) keystore: Option<PathBuf>,
    /// Send nothing and need no key: print the transactions that this account, such as a Safe, has to send, as a file for Safe's
    /// Transaction Builder
    #[arg(long, global = true, value_name = "ACCOUNT", value_parser = parse::address, conflicts_with = "keystore")]
    pub(crate) calldata: Option<Address>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what is for sale
    Offers {
        /// Also offers that take no orders now
        #[arg(long)]
        all: bool,
    },
    /// Order GPU time and pay the deposit
    Order(OrderArgs),
    /// List my jobs
    Jobs {
        /// Whose jobs, instead of the key's own
        #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
        customer: Option<Address>,
        /// Also jobs that are closed
        #[arg(long)]
        all: bool,
    },
    /// Follow a job until it is closed
    Watch {
        /// The job, as `hawser order` printed it
        job: JobId,
        #[command(flatten)]
        wait: WaitOptions,
    },
    /// Pay for more time at the price of the order
    Topup {
        /// The job
        job: JobId,
        /// Seconds to add; 1h is 3600
        #[arg(long, value_parser = parse::seconds)]
        seconds: u32,
    },
    /// End a running job early; the price of the time after the end comes back at once
    End {
        /// The job
        job: JobId,
    },
    /// Take back what is left of jobs that were never started, or whose claim window is over
    Refund {
        /// The jobs
        #[arg(required = true)]
        jobs: Vec<JobId>,
    },
    /// Send credit out of the market
    Withdraw {
        /// Only this token, instead of every token in which there is credit
        #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
        token: Option<Address>,
        /// Where to, instead of the key's own address (a provider's credit: its payout address)
        #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
        to: Option<Address>,
    },
    /// Check a job's evidence, alone and against the chain
    Verify(VerifyArgs),
    /// Show what a provider earned: claims, fees, gas, withdrawals and credit
    Earnings(EarningsArgs),
    /// Set and show a provider's keys and lowest prices
    #[command(subcommand)]
    Provider(ProviderCommand),
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// A job's id: its evidence is where the offer's card says. Or a URL of a job's evidence (it ends in the job's id), of
    /// one attestor's (it ends in both), a file or a folder
    #[arg(value_name = "JOB|URL|PATH")]
    pub(crate) evidence: String,
    /// The job that it has to be the evidence of, where URL or path don't end in it
    #[arg(long)]
    pub(crate) job: Option<JobId>,
    /// Check the evidence alone, without the chain
    #[arg(long)]
    pub(crate) offline: bool,
    /// Warnings are wrong: exit code 1 instead of 3
    #[arg(long)]
    pub(crate) strict: bool,
    /// Check the signature of each line; without it, those of each claimed and each attestor's last line, which cover all
    /// lines before them
    #[arg(long)]
    pub(crate) every_signature: bool,
    /// File that remembers where the evidence ended: what was rewritten since is found the next time
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Give up reading from a server after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EarningsArgs {
    /// Whose earnings, instead of the key's own
    #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
    pub(crate) provider: Option<Address>,
    /// Last block to look in, instead of the newest
    #[arg(long, value_name = "BLOCK")]
    pub(crate) to_block: Option<u64>,
    /// Add claims up instead of listing each
    #[arg(long, value_enum)]
    pub(crate) by: Option<GroupBy>,
    /// Print CSV: one header row, one row per claim; amounts in whole tokens, gas in whole coins
    #[arg(long)]
    pub(crate) csv: bool,
}

impl EarningsArgs {
    /// Two formats at once are none.
    pub(crate) fn check(&self, format: Format) -> Result<(), Failure> {
        if self.csv && format == Format::Json {
            return Err(Failure::input("--csv and -o json are two formats: choose one"));
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Set the operator and the payout address of the key's own account, which makes it a provider
    Set {
        /// Hot key of the cluster, which posts offers and runs jobs; the zero address revokes it
        #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
        operator: Address,
        /// The only address to which earnings can be withdrawn
        #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
        payout: Address,
    },
    /// Set the lowest price that offers of the key's own account may have in a token
    Floor {
        /// The token
        #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
        token: Address,
        /// Only offers of this GPU class, by its name in `hawser offers`; without it, all classes that have no floor of their
        /// own
        #[arg(long, value_name = "NAME", value_parser = parse::gpu_class)]
        gpu: Option<B256>,
        /// Whole tokens per GPU-hour; 0 refuses the token, or with --gpu gives the class no floor of its own
        #[arg(long, value_name = "TOKENS")]
        price: String,
    },
    /// Show keys, floors and credit
    Show {
        /// Which provider, instead of the key's own account
        #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
        provider: Option<Address>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct OrderArgs {
    /// YAML file with `workload` and, unless given as options, `offer`, `gpus`, `seconds` and `maxPrice`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Offer to order from
    #[arg(long, value_name = "ID")]
    pub(crate) offer: Option<OfferId>,
    /// Number of GPUs
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) gpus: Option<u16>,
    /// Seconds to buy; 1h is 3600
    #[arg(long, value_parser = parse::seconds)]
    pub(crate) seconds: Option<u32>,
    /// Highest price that is accepted, in whole tokens per GPU-hour; without it, the offer's current price
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_price: Option<String>,
    /// Tells apart orders that are otherwise the same (32 bytes, hex); random without it, and printed
    /// before anything is sent. With it, nothing is ordered where the chain shows an order of yours from the same offer
    /// with the same salt
    #[arg(long, value_name = "HEX", value_parser = parse::salt)]
    pub(crate) salt: Option<B256>,
    /// Follow the job until it is closed, and print the job instead of the order
    #[arg(long)]
    pub(crate) wait: bool,
    /// Say what would be ordered and what it would cost, and whether the offer takes it; send nothing
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
}

impl WaitOptions {
    /// Follow to the end, however long it takes.
    pub(crate) const ENDLESS: Self = Self { until: Milestone::Closed, timeout: None };
}

/// How far to follow a job, and how long.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct WaitOptions {
    /// Stop following at this milestone
    #[arg(long, value_enum, default_value_t = Milestone::Closed)]
    pub(crate) until: Milestone,
    /// Give up after this many seconds (the job goes on)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_and_the_page_on_the_cli_name_every_exit_code_and_what_has_it() {
        let help = Args::command().render_long_help().to_string();
        let page = include_str!("../../docs/cli.md");
        for (failure, words) in [
            (Failure::refused("x"), "refused by the market"),
            (Failure::Unreachable("x".to_owned()), "nobody answered"),
            (Failure::unsettled("x"), "may still be mined"),
            (Failure::input("x"), "bad input"),
            (Failure::Warned("x".to_owned()), "with warnings"),
            (Failure::Stopped("x".to_owned()), "Ctrl-C while a job was watched"),
        ] {
            let code = failure.exit_code();
            for (text, what) in [(&*help, "hawser --help"), (page, "docs/cli.md")] {
                let (_, codes) = text.split_once("Exit code").unwrap_or_else(|| panic!("{what} has no exit codes"));
                let codes = codes.split_whitespace().collect::<Vec<_>>().join(" ");
                // From the code on, up to the next sentence or part.
                let part = codes
                    .split(['.', ';'])
                    .map(str::trim)
                    .find(|part| part.strip_prefix(&code.to_string()).is_some_and(|rest| rest.starts_with([' ', ':'])));
                assert!(part.is_some_and(|part| part.contains(words)), "{what}: {code}, {words:?}: {codes}");
            }
        }
    }

    #[test]
    fn help_shows_no_secret_of_the_environment() {
        let url = Args::command()
            .get_arguments()
            .find(|arg| arg.get_id() == "rpc_urls")
            .map(clap::Arg::is_hide_env_values_set);
        assert_eq!(url, Some(true));
        assert!(!Args::command().render_long_help().to_string().contains("[env: HAWSER_PRIVATE_KEY"));
    }
}
