//! A thousand clients with sessions, while a back end dies and comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::harness::http::{HttpBackend, Kind, Message, parse, reply, sticky};
use crate::harness::{Setup, until};

const THREADS: usize = 8;
const EACH: usize = 125;

/// What a client knows of its session.
struct Visitor {
    id: usize,
    asked: usize,
    lane: Option<String>,
    stream: Option<TcpStream>,
}

/// What is expected of the answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// All back ends live: everybody stays where he is.
    Quiet,
    /// One dies: a request may fail, and is then asked again.
    Storm,
    /// It is dead: every request is answered, by another.
    Without,
}

impl Visitor {
    /// Asks once, over a new connection if there is none.
    async fn ask(&mut self, to: SocketAddr, target: &str) -> std::io::Result<Message> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(to).await?,
        };
        let cookie = match &self.lane {
            Some(lane) => format!("Cookie: seen=1; lane={lane}\r\n"),
            None => String::new(),
        };
        let request = format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n{cookie}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        loop {
            if let Some((message, length)) = parse(&bytes, Kind::ReplyTo("GET"), false).unwrap() {
                assert_eq!(length, bytes.len(), "more than the answer");
                if message.head.persists() {
                    self.stream = Some(stream);
                }
                return Ok(message);
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Asks until an answer comes, and holds it against what it must be.
    async fn visit(&mut self, to: SocketAddr, phase: Phase) {
        self.asked += 1;
        let target = format!("/{}/{}", self.id, self.asked);
        for attempt in 0.. {
            assert!(attempt < 10, "{target} is never answered");
            let asked = timeout(Duration::from_secs(20), self.ask(to, &target)).await;
            let answer = match asked.expect("an answer in time") {
                Ok(answer) if answer.code() == 200 => answer,
                failed => {
                    assert_eq!(phase, Phase::Storm, "{target}: {failed:?}");
                    self.stream = None;
                    continue;
                }
            };
            assert_eq!(answer.text(), target, "the answer of another");
            let name = answer.head.value("X-Backend");
            match phase {
                Phase::Quiet if self.lane.is_some() => assert_eq!(self.lane, name),
                Phase::Without => assert_ne!(name.as_deref(), Some("birch")),
                Phase::Storm if self.lane.as_deref() != Some("birch") => {
                    assert_eq!(self.lane, name);
                }
                _ => {}
            }
            let set = answer.head.value("Set-Cookie").expect("a cookie");
            let lane = set
                .strip_prefix("lane=")
                .and_then(|rest| rest.split(';').next());
            assert_eq!(lane, name.as_deref(), "each sets its own");
            self.lane = name;
            return;
        }
    }
}

/// Visitors that share a thread.
struct Group {
    runtime: Runtime,
    visitors: Vec<Visitor>,
}

/// What all of them do next.
#[derive(Clone, Copy)]
struct Plan {
    to: SocketAddr,
    phase: Phase,
    visits: usize,
}

impl Group {
    fn new(number: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let visitors = (0..EACH).map(|place| Visitor {
            id: number * EACH + place,
            asked: 0,
            lane: None,
            stream: None,
        });
        Self {
            runtime: runtime.unwrap(),
            visitors: visitors.collect(),
        }
    }

    /// All visit at once, in a thread of their own.
    fn go(mut self, plan: Plan, done: Arc<AtomicUsize>) -> JoinHandle<Self> {
        std::thread::spawn(move || {
            let visitors = std::mem::take(&mut self.visitors);
            self.visitors = self.runtime.block_on(async move {
                let tasks: Vec<_> = visitors
                    .into_iter()
                    .map(|visitor| tokio::spawn(make_visits(visitor, plan, Arc::clone(&done))))
                    .collect();
                let mut back = Vec::new();
                for task in tasks {
                    back.push(task.await.unwrap());
                }
                back
            });
            self
        })
    }
}

async fn make_visits(mut visitor: Visitor, plan: Plan, done: Arc<AtomicUsize>) -> Visitor {
    for _ in 0..plan.visits {
        visitor.visit(plan.to, plan.phase).await;
        done.fetch_add(1, Ordering::SeqCst);
    }
    visitor
}

fn named(name: &'static str) -> HttpBackend {
    HttpBackend::new(move |turn| {
        let fields = format!("X-Backend: {name}\r\n");
        turn.answer(&reply("200 OK", &fields, turn.head.target()))
    })
}

/// The machine may allow more descriptors than it gives at first; both ends of
/// every connection are in this process.
fn raise_limit_of_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

/// C39 (documented; failures of 9.9 decided): every answer belongs to its
/// request and its session; the sessions of a dead back end are taken over by
/// others and stay there.
#[test]
fn a_thousand_sessions_outlive_one_of_three_backends() {
    raise_limit_of_descriptors();
    let (maple, mut birch, cedar) = (named("maple"), named("birch"), named("cedar"));
    let proxy = Setup::http("revivinginterval 1;")
        .backend("maple", maple.server(), &sticky("maple"))
        .backend("birch", birch.server(), &sticky("birch"))
        .backend("cedar", cedar.server(), &sticky("cedar"))
        .start();
    let done = Arc::new(AtomicUsize::new(0));
    let plan = |phase, visits| Plan {
        to: proxy.address(),
        phase,
        visits,
    };
    let go = |groups: Vec<Group>, plan: Plan| -> Vec<JoinHandle<Group>> {
        let groups = groups.into_iter();
        groups
            .map(|group| group.go(plan, Arc::clone(&done)))
            .collect()
    };
    let join = |threads: Vec<JoinHandle<Group>>| -> Vec<Group> {
        let threads = threads.into_iter();
        threads.map(|thread| thread.join().unwrap()).collect()
    };
    let all = THREADS * EACH;

    let groups = (0..THREADS).map(Group::new).collect();
    let groups = join(go(groups, plan(Phase::Quiet, 3)));
    // What is published is up to 150 ms old.
    until("all are counted", || {
        proxy.shop_number("accepted") >= all as u64
    });
    assert_eq!(proxy.shop_number("accepted"), all as u64, "all were kept");

    let threads = go(groups, plan(Phase::Storm, 6));
    until("they are at it", || done.load(Ordering::SeqCst) > 4 * all);
    birch.kill();
    let groups = join(threads);
    let groups = join(go(groups, plan(Phase::Without, 3)));

    birch.revive();
    proxy.await_state("birch", "available");
    let groups = join(go(groups, plan(Phase::Quiet, 3)));
    assert_eq!(done.load(Ordering::SeqCst), 15 * all);
    let newcomers = (0..3).map(|_| proxy.http().get("/", "").head.value("X-Backend"));
    assert!(newcomers.flatten().any(|name| name == "birch"));
    drop(groups);
    proxy.await_idle();
}
