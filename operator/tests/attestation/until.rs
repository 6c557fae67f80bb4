//! Waiting with an end to it.

use std::time::Duration;

use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// Looks until something is there. A look that hangs is over at the deadline too.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looks = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(LOOK).await;
        }
    };
    timeout(DEADLINE, looks).await.unwrap_or_else(|_| panic!("not so within {} s: {what}", DEADLINE.as_secs()))
}
