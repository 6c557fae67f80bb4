//! One file per verb.

mod earnings;
mod end;
mod jobs;
mod offers;
mod order;
mod provider;
mod refund;
mod topup;
mod verify;
mod watch;
mod withdraw;

use std::cell::OnceCell;

use crate::{
    args::{Args, Command, ProviderCommand},
    chain::{MarketClient, Sender},
    failure::Failure,
    key, output,
};

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let Args { connection, key: source, output: format, command } = args;
    let look = || MarketClient::connect(&connection, Sender::Nobody);
    let acting = OnceCell::new();
    let act = async || {
        let market = MarketClient::connect(&connection, key::sender(&source)?).await?;
        Ok::<_, Failure>(acting.get_or_init(|| market))
    };
    let done = async {
        match command {
            Command::Offers { all } => {
                let with_cards = format != output::Format::Table;
                output::print(format, &offers::run(&look().await?, all, with_cards).await?)
            }
            Command::Order(args) => {
                // What is wrong with the file is said before a password is asked for.
                let order = crate::order::OrderDraft::read(&args)?;
                let market = act().await?;
                if args.dry_run {
                    return output::print(format, &order::plan(market, &order).await?);
                }
                let placed = order::run(market, &order).await?;
                if !args.wait {
                    return output::print(format, &placed);
                }
                output::progress(format!("job {}", placed.job_id));
                let job = placed.job_id;
                let (view, verdict) = watch::unless_stopped(job, watch::from_order(market, job)).await?;
                output::print(format, &view)?;
                verdict
            }
            Command::Jobs { customer, all } => {
                let customer = customer.map_or_else(|| key::address(&source), Ok)?;
                output::print(format, &jobs::run(&look().await?, customer, all).await?)
            }
            Command::Watch { job, wait } => {
                let market = look().await?;
                let (view, verdict) = watch::unless_stopped(job, watch::run(&market, job, wait)).await?;
                output::print(format, &view)?;
                verdict
            }
            Command::Topup { job, seconds } => output::print(format, &topup::run(act().await?, job, seconds).await?),
            Command::End { job } => output::print(format, &end::run(act().await?, job).await?),
            Command::Refund { jobs } => output::print(format, &refund::run(act().await?, &jobs).await?),
            Command::Withdraw { token, to } => {
                let (withdrawals, verdict) = withdraw::run(act().await?, token, to).await?;
                output::print(format, &withdrawals)?;
                verdict
            }
            Command::Earnings(args) => {
                args.check(format)?;
                let provider = args.provider.map_or_else(|| key::address(&source), Ok)?;
                earnings::run(&look().await?, provider, &args, format).await
            }
            Command::Provider(ProviderCommand::Set { operator, payout }) => {
                output::print(format, &provider::set(act().await?, operator, payout).await?)
            }
            Command::Provider(ProviderCommand::Floor { token, gpu, price }) => {
                output::print(format, &provider::floor(act().await?, token, gpu, &price).await?)
            }
            Command::Provider(ProviderCommand::Show { provider }) => {
                let provider = provider.map_or_else(|| key::address(&source), Ok)?;
                output::print(format, &provider::show(&look().await?, provider).await?)
            }
            Command::Verify(args) => verify::run(&connection, format, &args).await,
        }
    };
    match done.await {
        // What it came to is known to whoever sends it.
        Err(Failure::Drafted) => output::document(&acting.get().map(MarketClient::drafted)),
        done => done,
    }
}
