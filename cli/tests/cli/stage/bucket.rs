//! A folder that can be read over HTTP, as an evidence store's public side, and servers that answer as they like.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
};

pub(crate) struct Bucket {
    pub(crate) url: String,
}

impl Bucket {
    /// Serves until the test's process ends.
    pub(crate) fn serve(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self::answering(move |path, stream| {
            let path: PathBuf = path.trim_start_matches('/').into();
            match fs::read(folder.join(path)) {
                Ok(body) => respond(stream, "200 OK", "", &body),
                Err(_) => respond(stream, "404 Not Found", "", b""),
            }
        })
    }

    /// Answers each request for a path by itself.
    pub(crate) fn answering(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                answer(request.split(' ').nth(1).unwrap_or_default(), &mut stream);
            }
        });
        Self { url }
    }
}

pub(crate) fn respond(stream: &mut TcpStream, status: &str, header: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}
