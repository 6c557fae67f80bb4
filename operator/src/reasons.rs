//! Why a condition says what it says, and why a job is in its phase: every word there is, whether somebody has to act on it, and
//! what to do. `docs/reference/conditions.md` lists them from here. A word stays once it was released.

use std::fmt;

use crate::network::{Disconnected, SignerFault};

macro_rules! reasons {
    ($($name:ident $weight:ident $advice:literal)*) => {
        /// A reason, one `CamelCase` word.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Reason {
            $(#[doc = $advice] $name,)*
            /// A word of kubelet's, the scheduler's or the runtime's that is passed on as it is.
            Kubernetes(String),
        }

        impl Reason {
            /// Those that are this operator's own, or known to it.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub(crate) fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Kubernetes(word) => word,
                }
            }

            /// Somebody has to act on it, whatever the condition.
            pub(crate) fn is_trouble(&self) -> bool {
                match self {
                    $(Self::$name => reasons!(@$weight),)*
                    Self::Kubernetes(_) => false,
                }
            }

            /// What to do.
            #[cfg(test)]
            pub(crate) fn advice(&self) -> &'static str {
                match self {
                    $(Self::$name => $advice,)*
                    Self::Kubernetes(_) => "A word of Kubernetes': see the pod and its events",
                }
            }
        }
    };
    (@trouble) => { true };
    (@fine) => { false };
}

reasons! {
    Abandoned trouble "Nothing: somebody gave the object up by its annotation; the message says what was owed"
    AllInUse fine "Nothing: everything is sold. To sell more, raise `capacity.max` or lower `capacity.reserve`"
    Available fine "Nothing"
    Bound fine "Nothing"
    CacheOld fine "Look at the API server: it has said nothing of nodes or pods for most of a minute"
    CardShared trouble "Look at the device plugin: one GPU was given to two pods. The message names both jobs"
    CatchingUp fine "Wait, or set a later `spec.evm.startBlock` if no order is older"
    ClockAhead fine "Correct the clock (NTP) of the operator's node, or take the endpoint out"
    ClockBehind fine "Correct the clock (NTP) of the operator's node, or take the endpoint out"
    Closed fine "Nothing"
    ClosedOnChain fine "Nothing: somebody else declined, ended or refunded the job"
    Connected fine "Nothing"
    Connecting fine "Wait"
    ContainerRunning fine "Nothing"
    CreateContainerConfigError fine "Correct the workload: the message says what the runtime does not take"
    CreateContainerError fine "Correct the workload's command or image"
    CreatingPod fine "Wait. If it stays, see the operator's log"
    Deleted fine "Nothing: somebody deleted the `ComputeJob`"
    DepositTooSmall fine "Order for longer, or lower gas costs: the deposit doesn't pay the order's own gas"
    DuplicateOrder fine "Delete this `ComputeJob`: the order belongs to the one that the message names"
    Empty fine "Send coins for gas to `status.wallet.address`"
    EndedByCustomer fine "Nothing"
    Enforced fine "Nothing"
    EnrolmentRefused trouble "See the message: the operator refused the job's meter"
    ErrImagePull trouble "Correct `workload.image`, or give the node access to the registry"
    Error fine "Look at the program's log: it ended with an exit code other than 0"
    Evicted fine "Look at the node: it ran out of memory, disk or pids"
    FeeAboveCap fine "Wait for lower fees, or raise `spec.evm.gas.maxFeePerGasGwei`"
    ForbiddenEnvironment fine "Order without the variable that the message names"
    Free fine "Nothing"
    Funded fine "Nothing"
    GpuLost fine "Look at the node's cards before they are sold again"
    HeadStalled fine "Add an endpoint to `spec.evm.rpcUrls`, or put another one first"
    ImageNotAllowed fine "Order an image that `spec.images` of the offer allows"
    ImageNotFound fine "Correct `workload.image`: the registry does not have it, or not for the node's platform"
    ImagePullBackOff trouble "Correct `workload.image`, or give the node access to the registry"
    ImagePullTimeout fine "Use a smaller image, or raise `pull.timeoutSeconds` of the offer"
    ImageVolumes trouble "Change the container runtime of the nodes that the message names: it bounds no writes to image volumes"
    InSync fine "Nothing"
    InvalidEnvironment fine "Order with a variable name of letters, digits, `_`, `-` and `.`, no digit first"
    InvalidImage fine "Order with an image reference"
    InvalidImageName trouble "Order with an image reference"
    InvalidKey fine "Correct the wallet's Secret: it holds no private key of secp256k1"
    InvalidKeystore fine "Correct the wallet's Secret: it holds no keystore of version 3"
    InvalidLimit fine "Correct the offer's limits"
    InvalidResources fine "Order with quantities such as 4, 500m or 16Gi"
    InvalidSpec trouble "Correct the field that the message names"
    JobObjectGone fine "Nothing: somebody removed the finalizer of the `ComputeJob`; its order was closed with what its meter had attested"
    Leaving fine "Wait for what the message names, or give it up on purpose"
    Local fine "Nothing: a local job owes nothing on chain"
    Low fine "Send coins for gas to `status.wallet.address`"
    Malformed fine "Order with a public spec that can be read"
    Matches fine "Nothing"
    MeterLost fine "Set `podPidsLimit` on the node if programs take all processes: meter could not be started again"
    MeterNotReady fine "See the log of the container meter, and whether it reaches the operator"
    Moving fine "Nothing"
    NetworkNotReady fine "Look at the conditions of the `DepinNetwork`"
    NetworkUnavailable fine "Look at the conditions of the `DepinNetwork`; jobs run on"
    NoBlockSeen fine "Wait for a block"
    NoCapacity fine "Order when GPUs are free"
    NodeReachable fine "Close the nodes to their pods, or set `isolation.acceptReachable`"
    NodeShutdown fine "Nothing: the node was shut down"
    NoGpu fine "Order at least one GPU"
    NoHealthyGpu trouble "See the message: it says node by node why no GPU can be sold"
    NoImageVolumes fine "Nothing"
    NoMarket fine "Correct `spec.evm.market`, or the endpoint"
    NoMatchingNode trouble "Correct `gpu.product`: no node has that label and resource"
    NoNetwork trouble "Make the `DepinNetwork` that `spec.networkRef` names, or make another offer"
    NoOffer fine "Make the `GpuOffer` that `spec.offerRef` names"
    NoResult fine "See the message: the canary found nothing out"
    NoRights trouble "Run the command in the message: it lets the operator start pods in the namespace"
    NotAdmitted fine "Mend what the message names: a quota, a policy, a webhook"
    NotAToken trouble "Make another offer: there is no ERC-20 token at `price.token`"
    NotConnected fine "See the condition `Connected`"
    NotEnforced fine "Have the cluster's network enforce `NetworkPolicy` objects, or set `isolation.acceptReachable`"
    NothingSent fine "See the message: it has the node's words"
    NothingStored fine "Nothing: nothing was to be stored yet"
    NotMined fine "Raise the fee caps in `spec.evm.gas`, or put another endpoint first"
    NotOnChain fine "Nothing: the market holds nothing of the job"
    NotPosted fine "Mend what the message names; the offer is posted then"
    NotRestricted fine "Label the namespace `pod-security.kubernetes.io/enforce=restricted`"
    NotSettled trouble "Find out who wrote `status.phase`: it is taken back, and the job is looked at"
    NotStartedInTime fine "See the message: it says what was in the way until the start deadline"
    NotTried fine "Wait for the offer's canary"
    NotVisible fine "Create the `RuntimeClass` nvidia if GPUs are to be sampled"
    NoVoucher fine "Wait for the meter's first report"
    Obstructed trouble "See the message: the market or the wallet says why the job can't be settled"
    OfferUnreadable trouble "Look at the conditions of the `GpuOffer`"
    OnChain fine "Nothing"
    OOMKilled fine "Order with more `workload.memory`"
    OrderNotAdmitted trouble "Mend what the message quotes of the API server: a quota, a policy, a webhook, the operator's rights"
    OrdersNotRead fine "Use an endpoint that serves logs: the message has the endpoint's words"
    OrphanedPod trouble "Find out who removed the finalizer of the pod's `ComputeJob`; what the pod used is claimed"
    PodDeleted fine "Nothing: somebody deleted the job's pod"
    PodFailed fine "See the pod's events"
    PodInitializing fine "Wait for the image"
    PodRefused trouble "Mend what the message names: a quota, a `LimitRange`, a policy, a webhook"
    Posting fine "Wait. If it stays, see `TransactionsMoving` of the network"
    PriceBelowGas fine "Raise `price.perGpuHour` or `limits.maxSeconds`, or correct `gas.tokensPerCoin` of the network"
    ProbeFailed fine "See the log of the container probe"
    ProgramEnded fine "Nothing"
    Reading fine "Wait for the first block"
    Ready fine "Nothing"
    Refused trouble "See the message: it has the words of the market or of the operator"
    Reorged fine "Nothing: a reorganisation took the order away. If it comes back, it is taken again"
    ReportsStopped trouble "See the log of the container meter, and whether it reaches the operator"
    ResourcesOverLimit fine "Order with less: the message names the limit"
    Restricted fine "Nothing"
    Rising fine "Wait: free GPUs are published after a while, because each update costs gas"
    RunContainerError fine "Correct the workload's command or image"
    Running fine "Nothing"
    RuntimeClass fine "Nothing"
    RuntimeClassMissing trouble "Create the `RuntimeClass`, or correct `isolation.runtimeClassName`"
    Scheduling fine "Wait for the scheduler"
    SecretNotFound fine "Create the Secret or the key that the message names"
    Settling fine "Wait for the claim and the close to be mined"
    SignerMismatch fine "Correct the wallet: the signer answers with something that was not asked for"
    SignerRefused fine "Allow the operator to sign: the message has the signer's words"
    SignerUnavailable fine "Bring the signer back. What is to be sent waits and is not lost"
    StartDeadlinePassed fine "Look at whether the operator was away: the job could not be started in time"
    Started fine "Nothing"
    StartError fine "Correct the workload's command"
    Starting fine "Wait"
    StartUndone trouble "Nothing: `startJobs` is sent again. If it stays, look for an endpoint that lags"
    Stopping fine "Wait for the pod to end"
    Stored fine "Nothing"
    StoreFails trouble "Mend the evidence store: the message has its words"
    Suspended fine "Nothing, or unset `spec.suspend`"
    Terminated fine "Nothing: somebody set `spec.terminate`"
    TerminationByKubelet fine "Nothing: kubelet ended the pod, as its node was short of something or shut down. See the pod's events"
    TimeOutOfRange fine "Order for a time within `limits.minSeconds` and `limits.maxSeconds`"
    TimeUp fine "Nothing"
    TokenNotRead trouble "See the message: the endpoint can't read the token now"
    TooManyGpus fine "Order at most `limits.gpusPerJob` GPUs"
    UnexpectedAdmissionError fine "Drain a node before kubelet is restarted, and look for a lost card"
    UnknownNetworkKind trouble "Upgrade the operator, or set a kind of network that it knows"
    Unreachable fine "Check `spec.evm.rpcUrls` and the endpoints"
    Unreadable fine "Correct the field that the message names, or run the newer operator"
    Unschedulable trouble "See the message: it has the scheduler's words"
    Updating fine "Nothing: a change is on its way to the market"
    VoucherAccepted fine "Nothing"
    VoucherLost trouble "Nothing can be done: the message says what was not paid, and why"
    VoucherRefused trouble "See the message: it says what was wrong with a report; the reports that follow count"
    Waiting fine "Wait"
    WaitingForAttestor fine "Wait. If it stays, see the log of the container meter"
    WaitingForChain fine "Wait for `startJobs` to be mined"
    WaitingForLastVoucher fine "Wait for the pod to end, or mend the evidence store"
    WaitingForStart fine "Wait for `startJobs` to be mined"
    WalletInUse fine "Give this network a key of its own"
    Watching fine "Nothing"
    WithinPolicy fine "Nothing"
    WrongChain fine "Correct `spec.evm.chainId` or `genesisHash`, or the endpoint"
    WrongPassword fine "Correct the keystore's password Secret"
}

impl Reason {
    /// The reason that a word is.
    pub(crate) fn read(word: &str) -> Self {
        let known = Self::ALL.iter().find(|reason| reason.as_str() == word);
        known.cloned().unwrap_or_else(|| Self::Kubernetes(word.to_owned()))
    }

    /// What kubelet says of a container or a pod. A word of ours in its mouth means something else, and is none of ours.
    pub(crate) fn of_kubernetes(word: &str) -> Self {
        match Self::read(word) {
            known @ (Self::CreateContainerConfigError
            | Self::CreateContainerError
            | Self::ErrImagePull
            | Self::Error
            | Self::Evicted
            | Self::ImagePullBackOff
            | Self::InvalidImageName
            | Self::OOMKilled
            | Self::PodInitializing
            | Self::RunContainerError
            | Self::StartError
            | Self::TerminationByKubelet
            | Self::UnexpectedAdmissionError) => known,
            _ => Self::Kubernetes(word.to_owned()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Disconnected> for Reason {
    fn from(why: Disconnected) -> Self {
        match why {
            Disconnected::Connecting => Self::Connecting,
            Disconnected::Unreachable => Self::Unreachable,
            Disconnected::WrongChain => Self::WrongChain,
            Disconnected::NoMarket => Self::NoMarket,
            Disconnected::HeadStalled => Self::HeadStalled,
        }
    }
}

impl From<SignerFault> for Reason {
    fn from(fault: SignerFault) -> Self {
        match fault {
            SignerFault::InvalidKey => Self::InvalidKey,
            SignerFault::InvalidKeystore => Self::InvalidKeystore,
            SignerFault::WrongPassword => Self::WrongPassword,
            SignerFault::Unavailable => Self::SignerUnavailable,
            SignerFault::Refused => Self::SignerRefused,
            SignerFault::Mismatch => Self::SignerMismatch,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn a_word_is_read_as_the_reason_that_it_is_and_kubelets_own_words_stay_its() {
        for reason in Reason::ALL {
            assert_eq!(&Reason::read(reason.as_str()), reason);
        }
        assert_eq!(Reason::read("DeadlineExceeded"), Reason::Kubernetes("DeadlineExceeded".to_owned()));
        assert_eq!(Reason::of_kubernetes("ErrImagePull"), Reason::ErrImagePull);
        // Whoever writes a pod's status must not have an order declined in words that are told on chain.
        assert_eq!(Reason::of_kubernetes("Deleted"), Reason::Kubernetes("Deleted".to_owned()));
    }

    /// `HAWSER_WRITE_DOCS=1 cargo test -p hawser-operator --lib reference` writes the page's table anew.
    #[test]
    fn the_reference_says_of_every_reason_what_to_do() {
        let mut table = "| reason | an event as a warning | what to do |\n|---|---|---|\n".to_owned();
        for reason in Reason::ALL {
            let warns = if reason.is_trouble() { "yes" } else { "" };
            writeln!(table, "| `{reason}` | {warns} | {} |", reason.advice()).unwrap();
        }
        hawser_pages::assert_table("reference/conditions.md", "reasons", &table);
    }
}
