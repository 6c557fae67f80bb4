//! A node that answers less than anvil does: as public endpoints do.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

/// Most blocks that it searches for logs at once.
const MOST_BLOCKS: u64 = 3;

pub(crate) struct Picky {
    pub(crate) url: String,
    remembers: Arc<AtomicU64>,
}

impl Picky {
    /// It searches few blocks at once, and says no time with its logs. Serves until the test's process ends.
    pub(crate) fn before(node: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let remembers = Arc::new(AtomicU64::new(0));
        let (node, first) = (node.trim_start_matches("http://").to_owned(), Arc::clone(&remembers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (node, first) = (node.clone(), Arc::clone(&first));
                thread::spawn(move || answer(stream, &node, first.load(Ordering::Relaxed)));
            }
        });
        Self { url, remembers }
    }

    /// It forgets how accounts stood before this block.
    pub(crate) fn forget_before(&self, block: u64) {
        self.remembers.store(block, Ordering::Relaxed);
    }
}

fn answer(mut stream: TcpStream, node: &str, first: u64) {
    let request: Value = serde_json::from_slice(&body(&stream)).unwrap();
    let number = |value: &Value| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok();
    let params = &request["params"];
    let refusal = match request["method"].as_str().unwrap() {
        "eth_getLogs" => {
            let blocks = number(&params[0]["toBlock"]).unwrap() - number(&params[0]["fromBlock"]).unwrap() + 1;
            (blocks > MOST_BLOCKS).then_some("query exceeds max block range")
        }
        "eth_call" => number(&params[1]).filter(|block| *block < first).map(|_| "missing trie node"),
        _ => None,
    };
    let mut response = match refusal {
        Some(message) => {
            json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": message}})
        }
        None => ask(node, &request),
    };
    if request["method"] == "eth_getLogs" {
        for log in response.get_mut("result").and_then(Value::as_array_mut).into_iter().flatten() {
            log.as_object_mut().unwrap().remove("blockTimestamp");
        }
    }
    let text = response.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{text}", text.len()).as_bytes());
}

fn ask(node: &str, request: &Value) -> Value {
    let mut stream = TcpStream::connect(node).unwrap();
    let text = request.to_string();
    let head = format!("POST / HTTP/1.1\r\nhost: {node}\r\ncontent-type: application/json\r\nconnection: close\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{text}", text.len()).as_bytes()).unwrap();
    serde_json::from_slice(&body(&stream)).unwrap()
}

/// The body of a request or an answer that says how long it is.
fn body(stream: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}
