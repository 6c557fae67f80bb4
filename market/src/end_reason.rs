//! Why a job ended, as its provider writes it into the market's log: `REASON: words`, where the reason is one CamelCase word.

/// Reasons of jobs whose customer got what was bought.
pub const COMPLETED: [&str; 3] = ["ProgramEnded", "TimeUp", "EndedByCustomer"];

/// Whether a reason as the market's log has it is that of a job whose customer got what was bought.
pub fn is_completed(reason: &str) -> bool {
    reason.split(':').next().is_some_and(|word| COMPLETED.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_the_colon_decides() {
        assert!(is_completed("ProgramEnded: exit code 0") && is_completed("TimeUp"));
        for other in ["", "Evicted: TimeUp", "ProgramEndedBadly", "timeup"] {
            assert!(!is_completed(other), "{other:?}");
        }
    }
}
