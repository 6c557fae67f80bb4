//! kubelet's folders for plugins: the one place that all kubelets of a machine share, as it can't be configured.

use std::{os::unix::net::UnixStream, path::Path};

/// What a kubelet makes for device plugins and other plugins.
pub(crate) const FOLDERS: [&str; 2] = ["/var/lib/kubelet/device-plugins", "/var/lib/kubelet/plugins_registry"];
/// Where kubelet takes device plugins' registrations.
pub(crate) const SOCKET: &str = "/var/lib/kubelet/device-plugins/kubelet.sock";

/// Whether a kubelet runs on this machine. When none of our processes is left, it is another's.
pub(crate) fn a_kubelet_answers() -> bool {
    answers(Path::new(SOCKET))
}

fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_socket_of_a_kubelet_that_is_gone_does_not_answer() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("kubelet.sock");
        assert!(!answers(&socket));
        let kubelet = UnixListener::bind(&socket).unwrap();
        assert!(answers(&socket));
        drop(kubelet);
        assert!(socket.exists() && !answers(&socket));
    }
}
