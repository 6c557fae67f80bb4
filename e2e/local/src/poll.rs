//! Waits for a condition.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

/// Looks again until there is something to see, at least once; `None` when `timeout` is over.
pub(crate) fn poll<T>(
    timeout: Duration,
    every: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now() + timeout;
    loop {
        let seen = look()?;
        if seen.is_some() || Instant::now() > deadline {
            return Ok(seen);
        }
        thread::sleep(every);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn what_comes_in_time_is_seen_and_what_does_not_is_not() {
        let mut looks = 0;
        let third = poll(Duration::from_mins(1), SOON, || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(third.unwrap(), Some(3));
        assert_eq!(poll(SOON, SOON, || Ok(None::<u8>)).unwrap(), None);
    }

    #[test]
    fn an_error_ends_the_waiting_at_once() {
        let failed = poll(Duration::from_mins(1), Duration::from_mins(1), || -> Result<Option<u8>> { bail!("broken") });
        assert_eq!(failed.unwrap_err().to_string(), "broken");
    }
}
