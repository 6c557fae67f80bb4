//! Why a command did not do what was asked, and the exit code that says which kind it was.

use thiserror::Error;

/// What a person reads on stderr: one sentence or two, with the values and the way out.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What was typed, or what a file holds, can't be right. Nothing was sent.
    #[error("{0}")]
    Input(String),
    /// The market, the token or the node refused, or what was asked for did not come about.
    #[error("{0}")]
    Refused(String),
    /// This machine failed: its output, a file that is written, its random numbers.
    #[error("{0}")]
    Local(String),
    /// It is right as far as it goes; what should be looked at was printed.
    #[error("{0}")]
    Warned(String),
    /// Somebody pressed Ctrl-C.
    #[error("{0}")]
    Stopped(String),
    /// Nobody answered; asking again may help.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody else sends the transactions: they were written down.
    #[error("nothing was sent: the transactions are for somebody else to send")]
    Drafted,
    /// A transaction that may have been sent, or may yet be mined: sent again, it could be paid twice.
    #[error("{what}; it may still be mined: {advice}")]
    Unsettled {
        what: String,
        /// What to look at first.
        advice: String,
    },
}

impl Failure {
    pub(crate) fn input(text: impl Into<String>) -> Self {
        Self::Input(text.into())
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    pub(crate) fn local(text: impl Into<String>) -> Self {
        Self::Local(text.into())
    }

    pub(crate) fn unsettled(what: impl Into<String>) -> Self {
        Self::Unsettled { what: what.into(), advice: "look before you send it again".to_owned() }
    }

    /// Says what to look at before the same is sent again.
    pub(crate) fn advise(self, advice: impl FnOnce() -> String) -> Self {
        match self {
            Self::Unsettled { what, .. } => Self::Unsettled { what, advice: advice() },
            other => other,
        }
    }

    /// 2 for bad input (as clap does for its own), 3 for warnings, 130 for Ctrl-C (as shells do), 1
    /// for everything else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Warned(_) => 3,
            Self::Stopped(_) => 130,
            Self::Refused(_) | Self::Local(_) | Self::Unreachable(_) | Self::Unsettled { .. } | Self::Drafted => 1,
        }
    }
}
