//! The few commands of the WebDriver protocol that the tests need, over HTTP on loopback.
//!
//! No crate does this here: even small ones bring thirty packages, and enable other features of
//! packages that we share with Bevy, which would compile Bevy a second time.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

/// Long enough for the slowest command, starting a browser, on a machine under load.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// One browser window, controlled through a driver that listens on loopback.
#[derive(Debug)]
pub(crate) struct Session {
    driver: SocketAddr,
    path: String,
}

impl Session {
    /// Opens a browser with these capabilities.
    pub(crate) fn open(port: u16, capabilities: &Value) -> Result<Self, String> {
        let driver = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let body = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let value = request(driver, "POST", "/session", Some(&body))?;
        let id = value["sessionId"].as_str().ok_or("the driver named no session")?;
        Ok(Self { driver, path: format!("/session/{id}") })
    }

    /// Loads a page; returns when its `load` event has fired.
    pub(crate) fn go_to(&self, url: &str) -> Result<(), String> {
        self.post("/url", &json!({ "url": url })).map(drop)
    }

    pub(crate) fn reload(&self) -> Result<(), String> {
        self.post("/refresh", &json!({})).map(drop)
    }

    /// Runs a function body in the page. Returns its result.
    pub(crate) fn run(&self, script: &str) -> Result<Value, String> {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Presses (`keyDown`) or releases (`keyUp`) a key, as the WebDriver standard encodes it.
    pub(crate) fn key(&self, action: &str, key: char) -> Result<(), String> {
        let keys = json!({ "type": "key", "id": "keys", "actions": [{ "type": action, "value": key.to_string() }] });
        self.post("/actions", &json!({ "actions": [keys] })).map(drop)
    }

    /// Runs a command of Chromium's developer tools. Returns its result.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Result<Value, String> {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// The lines that the page wrote to its console since the last call.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" })).unwrap_or(Value::Null);
        let entries = entries.as_array().into_iter().flatten();
        entries.filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect()
    }

    /// Closes the browser.
    pub(crate) fn close(&self) -> Result<(), String> {
        request(self.driver, "DELETE", &self.path, None).map(drop)
    }

    fn post(&self, command: &str, body: &Value) -> Result<Value, String> {
        request(self.driver, "POST", &format!("{}{command}", self.path), Some(body))
    }
}

/// Returns whether a driver answers at this port.
pub(crate) fn is_ready(port: u16) -> bool {
    let driver = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    request(driver, "GET", "/status", None).is_ok_and(|status| status["ready"] == true)
}

/// Sends one command. Returns the `value` of the driver's answer.
fn request(
    driver: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, String> {
    let (status, text) = exchange(driver, method, path, body)
        .map_err(|error| format!("{method} {path}: {error}"))?;
    let mut answer: Value =
        serde_json::from_str(&text).map_err(|error| format!("{method} {path}: {error}"))?;
    let value = answer["value"].take();
    if status == 200 {
        Ok(value)
    } else {
        Err(format!("{method} {path}: {} ({})", value["message"], value["error"]))
    }
}

/// Sends one HTTP request on a connection of its own. Returns the status and the body of the
/// response.
pub(crate) fn exchange(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(COMMAND_DEADLINE))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    read_response(BufReader::new(stream))
}

fn read_response(mut response: impl BufRead) -> io::Result<(u16, String)> {
    let mut line = String::new();
    response.read_line(&mut line)?;
    // `HTTP/1.1 200 OK`
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {line:?}")))?;
    let mut length = 0;
    loop {
        line.clear();
        response.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = String::new();
    response.take(length).read_to_string(&mut body)?;
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_up_to_its_length() {
        let response = b"HTTP/1.1 404 Not Found\r\ncontent-Length:3\r\nX: y\r\n\r\nabcdef";
        assert_eq!(read_response(&response[..]).unwrap(), (404, "abc".to_owned()));
    }

    #[test]
    fn bytes_that_are_not_http_are_an_error() {
        assert!(read_response(&b"hello\r\n\r\n"[..]).is_err());
    }
}
