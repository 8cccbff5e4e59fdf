//! nginx and Python's server, where they are installed, asked by curl.

use std::fmt::Write;
use std::process::Command;

use crate::cases::http_curl::{curl, has_curl};
use crate::cases::relay::Noise;
use crate::harness::{Client, Port, Proxy, Running, Setup, until};

const SIZE: usize = 40_000_000;

/// Whether a program is there; says so if not.
fn has(program: &str, flag: &str) -> bool {
    let run = Command::new(program).arg(flag).output();
    let found = run.is_ok_and(|run| run.status.success());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// A service in front of a server that is still to be started at `port`.
fn before(port: &Port) -> Proxy {
    Setup::http("")
        .backend(
            "maple",
            port.local().to_string(),
            "addclientheader \"X-Lane: %b\"; setserverheader \"X-Client: %r\";",
        )
        .start()
}

/// Runs a server until it is dropped; waits until it listens.
fn serve(proxy: &Proxy, port: &Port, program: &str, words: &[&str]) -> Running {
    let running = proxy.sandbox().other_program(program).args(words).spawn();
    until(&format!("{program} listens"), || {
        Client::try_connect(port.local()).is_ok()
    });
    running
}

fn nginx(proxy: &Proxy, port: &Port) -> Running {
    let place = proxy.sandbox().path().display();
    let mut paths = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        write!(paths, "{kind}_temp_path {place}/tmp.{kind};").unwrap();
    }
    let configuration = format!(
        "daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/nginx.log;
         events {{ worker_connections 512; }}
         http {{ access_log off; client_max_body_size 0; keepalive_requests 10000; {paths}
           server {{ listen {}; root {place}/www; location /up/ {{ dav_methods PUT; }} }} }}",
        port.local()
    );
    let path = proxy.sandbox().write("nginx.conf", configuration);
    let path = path.display().to_string();
    serve(proxy, port, "nginx", &["-e", "stderr", "-c", &path])
}

fn read(proxy: &Proxy, name: &str) -> Vec<u8> {
    std::fs::read(proxy.sandbox().path().join(name)).unwrap()
}

/// 9.4 (chunks documented, rest decided): a real server, both ways, kept and in
/// chunks.
#[test]
fn nginx_serves_curl_in_both_directions() {
    if !has_curl() || !has("nginx", "-v") {
        return;
    }
    let port = Port::reserve();
    let proxy = before(&port);
    let bytes = Noise(8).bytes(SIZE);
    proxy.sandbox().write("www/large", &bytes);
    proxy.sandbox().write("www/up/empty", "");
    let _nginx = nginx(&proxy, &port);

    let format = "%{num_connects}\n";
    let words = ["/large", "-o", "one", "/large", "-o", "two", "-w", format];
    assert_eq!(curl(&proxy, &words).clean(), "1\n0\n");
    assert!(read(&proxy, "one") == bytes && read(&proxy, "two") == bytes);
    curl(&proxy, &["-T", "one", "/up/length"]).clean();
    let chunked = "Transfer-Encoding: chunked";
    curl(&proxy, &["-T", "one", "-H", chunked, "/up/chunks"]).clean();
    assert!(read(&proxy, "www/up/length") == bytes);
    assert!(read(&proxy, "www/up/chunks") == bytes);

    let ranged = curl(&proxy, &["-i", "-r", "1000-1009", "/large"]);
    assert!(ranged.bytes.ends_with(&bytes[1000..1010]));
    assert!(ranged.stdout.contains("\r\nX-Lane: maple\r\n"));
    let missing = curl(&proxy, &["-o", "page", "-w", "%{http_code}", "/missing"]);
    assert_eq!(missing.clean(), "404");
    let head = curl(&proxy, &["-I", "/large"]);
    assert!(
        head.clean()
            .contains(&format!("Content-Length: {SIZE}\r\n"))
    );
    assert_eq!(proxy.number("maple", "failures"), 0);
}

/// A script for Python: it reads what it is sent and says how much that was.
const SCRIPT: &str = r#"
import http.server, sys, zlib
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/" + sys.argv[2]
    def log_message(self, *args):
        pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        text = ("%d %d %s\n" % (len(body), zlib.crc32(body), self.headers["X-Client"])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.serve_forever()
"#;

/// A CRC as Python's `zlib` has it.
fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256)
        .map(|byte| (0..8).fold(byte, |sum: u32, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1))))
        .collect();
    !bytes.iter().fold(!0, |sum: u32, byte| {
        (sum >> 8) ^ table[((sum ^ u32::from(*byte)) & 0xff) as usize]
    })
}

/// 9.8 (decided): a real server that closes after each reply, and one that
/// keeps its connections.
#[test]
fn python_serves_curl_in_both_directions() {
    if !has_curl() || !has("python3", "--version") {
        return;
    }
    let bytes = Noise(10).bytes(SIZE);
    let expected = format!("{SIZE} {} 127.0.0.1\n", crc32(&bytes));
    for version in ["1.0", "1.1"] {
        let port = Port::reserve();
        let proxy = before(&port);
        proxy.sandbox().write("large", &bytes);
        proxy.sandbox().write("server.py", SCRIPT);
        let number = port.number().to_string();
        let _python = serve(&proxy, &port, "python3", &["server.py", &number, version]);

        curl(&proxy, &["/large", "-o", "one", "/large", "-o", "two"]).clean();
        assert!(read(&proxy, "one") == bytes && read(&proxy, "two") == bytes);
        let posted = curl(&proxy, &["--data-binary", "@large", "/", "/"]);
        assert_eq!(posted.clean(), expected.repeat(2));
        let listing = curl(&proxy, &["-i", "/"]);
        assert!(
            listing.stdout.contains("\r\nX-Lane: maple\r\n"),
            "{listing:?}"
        );
        assert!(listing.stdout.contains("server.py"));

        proxy.await_idle();
        let connections = if version == "1.0" { 5 } else { 3 };
        assert_eq!(proxy.number("maple", "total"), connections);
    }
}
