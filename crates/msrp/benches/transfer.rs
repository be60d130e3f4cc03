//! A large file over loopback, beside a plain TCP copy of the same file in the same run: `cargo bench -p cordboard-msrp
//! --bench transfer`. `MEGABYTES` and `ROUNDS` in the environment change how much.
//!
//! Both read the file from the disk's cache, send it over one connection, and write it to another file; MSRP also hashes
//! what comes, and is asked for a report.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use msrp::driver::{
    ChatPlan, FileFacts, IncomingFile, MsrpCommand, MsrpEngine, MsrpEvent, MsrpSettings, OutgoingFile, Remote,
    StreamKey,
};
use msrp::endpoint::MessageId;
use msrp::uri::Path as MsrpPath;

const STREAM: StreamKey = StreamKey(1);
const BUFFER: usize = 256 * 1024;

fn main() {
    let megabytes = number("MEGABYTES", 512);
    let folder = std::env::temp_dir().join(format!("msrp-transfer-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("there is room for a folder");
    let path = folder.join("sent");
    make(&path, megabytes);
    let facts = FileFacts::of(&path).expect("it was just written");
    let mut best: [f64; 3] = [0.0; 3];
    for round in 1..=number("ROUNDS", 3) {
        let rates =
            [plain(&path, &folder), over_msrp(&path, &facts, &folder, false), over_msrp(&path, &facts, &folder, true)];
        let shown = rates.map(|taken| megabytes as f64 / taken.as_secs_f64());
        report(&format!("round {round}"), shown);
        for (best, rate) in best.iter_mut().zip(shown) {
            *best = best.max(rate);
        }
    }
    report("best", best);
    assert!(best[1] >= 0.6 * best[0], "less than 60 % of what a plain copy reaches");
    let _ = fs::remove_dir_all(&folder);
}

#[expect(clippy::print_stdout, reason = "what a measurement is for")]
fn report(what: &str, [plain, msrp, secure]: [f64; 3]) {
    println!(
        "{what}: plain TCP {plain:.0} MiB/s, MSRP {msrp:.0} MiB/s ({:.0} %), MSRP over TLS {secure:.0} MiB/s",
        100.0 * msrp / plain
    );
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn make(path: &Path, megabytes: usize) {
    let mut file = File::create(path).expect("there is room for a file");
    let mut state = 1u64;
    let mut piece = vec![0; 1 << 20];
    for _ in 0..megabytes {
        for eight in piece.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            eight.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece).expect("there is room for a file");
    }
}

fn plain(path: &Path, folder: &Path) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let source = path.to_owned();
    let began = Instant::now();
    let sender = std::thread::spawn(move || {
        let mut file = File::open(source).expect("it is there");
        let mut socket = TcpStream::connect(address).expect("somebody listens");
        copy(|buffer| file.read(buffer), |octets| socket.write_all(octets));
    });
    let (mut socket, _) = listener.accept().expect("somebody connects");
    let to = folder.join("plain");
    let mut file = File::create(&to).expect("there is room for a file");
    copy(|buffer| socket.read(buffer), |octets| file.write_all(octets));
    file.sync_data().expect("the disk takes it");
    sender.join().expect("it did not panic");
    let taken = began.elapsed();
    let _ = fs::remove_file(to);
    taken
}

fn copy(
    mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize>,
    mut write: impl FnMut(&[u8]) -> std::io::Result<()>,
) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match read(&mut buffer).expect("it can be read") {
            0 => return,
            length => write(&buffer[..length]).expect("it can be written"),
        }
    }
}

fn over_msrp(path: &Path, facts: &FileFacts, folder: &Path, is_secure: bool) -> Duration {
    let (one, here) = start(is_secure, false);
    let (other, there) = start(is_secure, true);
    let file = IncomingFile {
        folder: folder.join("received"),
        name: facts.name.clone(),
        size: Some(facts.size),
        hash: Some(facts.hash),
        from: 0,
    };
    let outgoing =
        OutgoingFile { id: MessageId("file".into()), path: path.into(), content_type: "x/y".into(), from: 0 };
    let began = Instant::now();
    other.order(MsrpCommand::ReceiveFile { stream: STREAM, file });
    other.order(MsrpCommand::Apply { stream: STREAM, remote: here.as_remote(false) });
    one.order(MsrpCommand::SendFile { stream: STREAM, file: outgoing });
    one.order(MsrpCommand::Apply { stream: STREAM, remote: there.as_remote(true) });
    let stored = other.file_ends().expect("it arrives");
    one.file_ends();
    let taken = began.elapsed();
    let _ = fs::remove_file(stored);
    taken
}

struct End {
    engine: MsrpEngine,
    events: Receiver<MsrpEvent>,
}

struct Here {
    path: MsrpPath,
    fingerprints: Vec<std::sync::Arc<str>>,
}

impl Here {
    fn as_remote(&self, we_connect: bool) -> Remote {
        Remote { path: self.path.clone(), we_connect, next_hop: None, fingerprints: self.fingerprints.clone() }
    }
}

fn start(is_secure: bool, receives_file: bool) -> (End, Here) {
    let (tell, events) = channel();
    let engine = MsrpEngine::start(MsrpSettings::default(), move |event| drop(tell.send(event)));
    let end = End { engine: engine.expect("it starts"), events };
    let mut plan = ChatPlan::new([127, 0, 0, 1].into());
    (plan.is_secure, plan.receives_file, plan.max_message) = (is_secure, receives_file, u64::MAX);
    end.order(MsrpCommand::Prepare { stream: STREAM, plan });
    let here = loop {
        if let MsrpEvent::Prepared { path, fingerprint, .. } = end.events.recv().expect("it answers") {
            break Here { path, fingerprints: fingerprint.into_iter().collect() };
        }
    };
    (end, here)
}

impl End {
    fn order(&self, command: MsrpCommand) {
        self.engine.handle().send(command).expect("it takes orders");
    }

    fn file_ends(&self) -> Option<PathBuf> {
        loop {
            match self.events.recv().expect("it tells") {
                MsrpEvent::FileEnded { path, error: None, .. } => return path,
                MsrpEvent::FileEnded { error: Some(error), .. } => panic!("{error}"),
                _ => {}
            }
        }
    }
}
