//! How a component is started, and when it is ready.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Everything needed to start one component, and to start it again later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub name: String,
    /// For people; `cluster status` shows it.
    pub version: String,
    pub program: PathBuf,
    pub args: Vec<String>,
    /// The whole environment besides PATH and HOME: nothing is inherited.
    pub env: BTreeMap<String, String>,
    pub ready: Ready,
    pub stop: StopSignal,
}

impl Spec {
    /// A component that is ready as soon as it runs and is stopped by SIGTERM.
    pub fn new(name: &str, version: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            ready: Ready::Running,
            stop: StopSignal::Terminate,
        }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = ready;
        self
    }

    #[must_use]
    pub fn stop(mut self, stop: StopSignal) -> Self {
        self.stop = stop;
        self
    }
}

/// What ends a component in an orderly way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopSignal {
    Terminate,
    Interrupt,
}

/// When a component can be used. Probed inside the cluster's network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// It runs.
    Running,
    /// It accepts TCP connections.
    Tcp(SocketAddr),
    /// It answers a plain `GET` with 200.
    Http(SocketAddr, String),
    /// It accepts connections on a Unix socket.
    Socket(PathBuf),
    /// A file that it writes is there.
    File(PathBuf),
    /// A command ends with status 0.
    Succeeds(PathBuf, Vec<String>),
}

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

impl Ready {
    /// One probe. Must be called inside the network namespace.
    pub(crate) fn probe(&self) -> bool {
        match self {
            Self::Running => true,
            Self::Tcp(address) => TcpStream::connect_timeout(address, PROBE_TIMEOUT).is_ok(),
            Self::Http(address, path) => answers_ok(*address, path),
            Self::Socket(path) => UnixStream::connect(path).is_ok(),
            Self::File(path) => path.exists(),
            Self::Succeeds(program, args) => Command::new(program)
                .args(args)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
        }
    }
}

fn answers_ok(address: SocketAddr, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PROBE_TIMEOUT) else {
        return false;
    };
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let mut status_line = [0; 12];
    stream.set_read_timeout(Some(PROBE_TIMEOUT)).is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut status_line).is_ok()
        && status_line.ends_with(b" 200")
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn serve(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 16];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn http_readiness_wants_status_200() {
        let path = "/healthz-long-enough".to_owned();
        assert!(Ready::Http(serve("HTTP/1.0 200 OK\r\n\r\nok"), path.clone()).probe());
        assert!(!Ready::Http(serve("HTTP/1.0 503 Service Unavailable\r\n\r\n"), path).probe());
    }

    #[test]
    fn nobody_listening_is_not_ready() {
        // The near end of a connection: its port is taken for as long as the test lasts, and nobody accepts on it.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!Ready::Tcp(connection.local_addr().unwrap()).probe());
        assert!(!Ready::Socket("/nonexistent/socket".into()).probe());
    }
}
