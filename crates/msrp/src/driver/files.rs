//! The clerk: a thread that reads, writes and hashes files, so that a slow disk holds up nobody's chat.
//!
//! ```text
//!   Send    ──► Opened{size} ──► Read ──► Got … Got{is_last}
//!   Receive ──► Write ──► Written … Finish ──► Finished{path, hash matches}
//! ```
//!
//! What is received is written beside its place, as `NAME.part`, and gets its name when it is complete and its hash is right
//! (RFC 5547 §8.4). No file that is there is ever overwritten; one that was broken off is kept, and gone on with by whoever
//! asks for the rest (§8.5).

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::command::StreamKey;
use crate::description::harmless_name;

/// A SHA-1 hash, the only one that RFC 5547 §6 has.
pub type Hash = [u8; 20];

/// How the name ends of a file whose rest has not come.
const PART: &str = ".part";
/// Names tried for a file whose name is taken.
const MAX_ALIKE: u32 = 1_000;
/// Octets read at once for a hash.
const PIECE: usize = 256 * 1024;

/// What is known of a file before it is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Its name, without its folder.
    pub name: String,
    /// Its octets.
    pub size: u64,
    /// Their SHA-1.
    pub hash: Hash,
}

impl FileFacts {
    /// Reads a file through. It takes as long as the disk does.
    pub fn of(path: &Path) -> io::Result<FileFacts> {
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"));
        }
        let mut hash = Sha1::new();
        let size = hash_through(&mut file, &mut hash)?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(FileFacts { name: harmless_name(&name), size, hash: hash.finalize().into() })
    }
}

/// What a file is called here whose name a peer gave.
fn own_name(name: &str) -> String {
    let name = harmless_name(name);
    // It shall not pass for the beginning of another file.
    if name.to_ascii_lowercase().ends_with(PART) { name + "_" } else { name }
}

/// Where the beginning of a file is kept until its rest has come.
fn partial(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{PART}"))
}

/// How much of a file is there already from a transfer that broke off.
pub fn kept(folder: &Path, name: &str) -> u64 {
    fs::metadata(partial(folder, &own_name(name))).map_or(0, |metadata| metadata.len())
}

#[derive(Debug)]
pub(super) enum Job {
    Send { stream: StreamKey, path: PathBuf, from: u64 },
    Read { stream: StreamKey, length: usize },
    Receive { stream: StreamKey, folder: PathBuf, name: String, from: u64, hash: Option<Hash> },
    Write { stream: StreamKey, bytes: Bytes },
    Finish { stream: StreamKey },
    Forget { stream: StreamKey },
}

#[derive(Debug)]
pub(super) enum Done {
    /// So many octets will be sent.
    Opened {
        stream: StreamKey,
        size: u64,
    },
    Got {
        stream: StreamKey,
        bytes: Bytes,
        is_last: bool,
    },
    Written {
        stream: StreamKey,
        length: usize,
    },
    Finished {
        stream: StreamKey,
        path: PathBuf,
        hash_matches: Option<bool>,
    },
    Failed {
        stream: StreamKey,
        why: Arc<str>,
        disk_full: bool,
    },
}

/// The way to the thread. When it is dropped, the thread ends.
pub(super) struct Clerk {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Clerk {
    pub(super) fn start(tell: impl Fn(Done) + Send + 'static) -> io::Result<Clerk> {
        let (jobs, queue) = channel();
        let thread = thread::Builder::new().name("msrp files".to_owned()).spawn(move || work(&queue, &tell))?;
        Ok(Clerk { jobs: Some(jobs), thread: Some(thread) })
    }

    /// How much waits here is bounded by whoever gives jobs: he counts what has been done.
    pub(super) fn give(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(queue: &Receiver<Job>, tell: &dyn Fn(Done)) {
    let mut files = HashMap::new();
    while let Ok(job) = queue.recv() {
        let (stream, done) = carry_out(job, &mut files);
        match done {
            Ok(Some(done)) => tell(done),
            Ok(None) => {}
            Err(error) => {
                files.remove(&stream);
                let disk_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                tell(Done::Failed { stream, why: error.to_string().into(), disk_full });
            }
        }
    }
}

enum Open {
    Sending { file: File, at: u64, end: u64 },
    Receiving(Box<Incoming>),
}

struct Incoming {
    file: File,
    hash: Sha1,
    wanted: Option<Hash>,
    part: PathBuf,
    folder: PathBuf,
    name: String,
}

fn carry_out(job: Job, files: &mut HashMap<StreamKey, Open>) -> (StreamKey, io::Result<Option<Done>>) {
    match job {
        Job::Send { stream, path, from } => (stream, open(stream, &path, from, files).map(Some)),
        Job::Read { stream, length } => (stream, read(stream, length, files)),
        Job::Receive { stream, folder, name, from, hash } => {
            let created = Incoming::create(folder, &name, from, hash).map(|incoming| {
                files.insert(stream, Open::Receiving(Box::new(incoming)));
                None
            });
            (stream, created)
        }
        Job::Write { stream, bytes } => {
            let written = match files.get_mut(&stream) {
                Some(Open::Receiving(incoming)) => incoming.write(&bytes).map(|()| Some(bytes.len())),
                _ => Ok(None),
            };
            (stream, written.map(|length| length.map(|length| Done::Written { stream, length })))
        }
        Job::Finish { stream } => {
            let finished = match files.remove(&stream) {
                Some(Open::Receiving(incoming)) => incoming.finish().map(Some),
                _ => Ok(None),
            };
            let done = finished
                .map(|finished| finished.map(|(path, hash_matches)| Done::Finished { stream, path, hash_matches }));
            (stream, done)
        }
        Job::Forget { stream } => {
            files.remove(&stream);
            (stream, Ok(None))
        }
    }
}

fn open(stream: StreamKey, path: &Path, from: u64, files: &mut HashMap<StreamKey, Open>) -> io::Result<Done> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    if from > end {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file is shorter than what is asked for"));
    }
    file.seek(SeekFrom::Start(from))?;
    files.insert(stream, Open::Sending { file, at: from, end });
    Ok(Done::Opened { stream, size: end - from })
}

fn read(stream: StreamKey, length: usize, files: &mut HashMap<StreamKey, Open>) -> io::Result<Option<Done>> {
    let Some(Open::Sending { file, at, end }) = files.get_mut(&stream) else { return Ok(None) };
    let length = usize::try_from(*end - *at).map_or(length, |left| length.min(left));
    let mut octets = vec![0; length];
    // A file that has become shorter meanwhile fails here: what was announced can't be sent any more.
    file.read_exact(&mut octets)?;
    *at += length as u64;
    let is_last = *at == *end;
    if is_last {
        files.remove(&stream);
    }
    Ok(Some(Done::Got { stream, bytes: octets.into(), is_last }))
}

impl Incoming {
    fn create(folder: PathBuf, name: &str, from: u64, wanted: Option<Hash>) -> io::Result<Incoming> {
        fs::create_dir_all(&folder)?;
        let name = own_name(name);
        let mut hash = Sha1::new();
        if from > 0 {
            let part = partial(&folder, &name);
            let mut file = OpenOptions::new().read(true).write(true).open(&part)?;
            file.set_len(from.min(file.metadata()?.len()))?;
            if hash_through(&mut file, &mut hash)? < from {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "less of the file is kept than was said"));
            }
            return Ok(Incoming { file, hash, wanted, part, folder, name });
        }
        for number in 0..MAX_ALIKE {
            let part = partial(&folder, &numbered(&name, number));
            match OpenOptions::new().write(true).create_new(true).open(&part) {
                Ok(file) => return Ok(Incoming { file, hash, wanted, part, folder, name }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)?;
        self.hash.update(octets);
        Ok(())
    }

    /// Gives the file its name, unless its hash is wrong: then it is taken away.
    fn finish(self) -> io::Result<(PathBuf, Option<bool>)> {
        self.file.sync_data()?;
        drop(self.file);
        let hash: Hash = self.hash.finalize().into();
        if self.wanted.is_some_and(|wanted| wanted != hash) {
            fs::remove_file(&self.part)?;
            return Ok((self.part, Some(false)));
        }
        for number in 0..MAX_ALIKE {
            let path = self.folder.join(numbered(&self.name, number));
            // A rename would overwrite what came there in between; a link does not.
            match fs::hard_link(&self.part, &path) {
                Ok(()) => {
                    fs::remove_file(&self.part)?;
                    return Ok((path, self.wanted.map(|_| true)));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => match OpenOptions::new().write(true).create_new(true).open(&path) {
                    // A file system without links: the name is ours since just now.
                    Ok(_) => {
                        fs::rename(&self.part, &path)?;
                        return Ok((path, self.wanted.map(|_| true)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// `report.pdf`, `report (1).pdf`, …
fn numbered(name: &str, number: u32) -> String {
    match (number, name.rsplit_once('.')) {
        (0, _) => name.to_owned(),
        (_, Some((stem, extension))) if !stem.is_empty() => format!("{stem} ({number}).{extension}"),
        _ => format!("{name} ({number})"),
    }
}

fn hash_through(file: &mut File, hash: &mut Sha1) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut total = 0;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(total),
            length => {
                hash.update(&piece[..length]);
                total += length as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn folder() -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("msrp-files-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn received(folder: &Path, name: &str, from: u64, octets: &[u8], hash: Option<Hash>) -> (PathBuf, Option<bool>) {
        let mut incoming = Incoming::create(folder.to_owned(), name, from, hash).unwrap();
        incoming.write(octets).unwrap();
        incoming.finish().unwrap()
    }

    /// RFC 5547 §9: whatever a name is, the file is in its folder, under a name that the disk takes.
    #[test]
    fn a_file_is_stored_in_its_folder_whatever_it_is_called() {
        let folder = folder();
        let long = "ü".repeat(500);
        for name in
            ["../outside", "/tmp/outside", "..", "", ".hidden", "a\0b", "-rf", "a\u{202e}b", "NUL", &long, &long]
        {
            let (path, _) = received(&folder, name, 0, b"x", None);
            assert_eq!(path.parent(), Some(&*folder), "{name:?}");
            assert_eq!(fs::read(&path).unwrap(), b"x");
            let stored = path.file_name().unwrap().to_str().unwrap();
            assert!(!stored.starts_with(['.', '-']) && !stored.contains(char::is_control), "{stored:?}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 11);
        fs::remove_dir_all(folder).unwrap();
    }

    /// Nobody offers `a.part`, and then `a`, to have what we keep of the one taken for the other.
    #[test]
    fn a_file_that_is_called_like_a_beginning_is_none() {
        let folder = folder();
        for name in ["a.part", "a.PART"] {
            received(&folder, name, 0, b"not the beginning", None);
            assert_eq!(kept(&folder, "a"), 0, "{name}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn no_file_is_overwritten() {
        let folder = folder();
        fs::write(folder.join("a.txt"), "mine").unwrap();
        let (first, _) = received(&folder, "a.txt", 0, b"theirs", None);
        let (second, _) = received(&folder, "a.txt", 0, b"again", None);
        assert_eq!(fs::read(folder.join("a.txt")).unwrap(), b"mine");
        assert_eq!(
            (first.file_name().unwrap().to_str(), fs::read(&first).unwrap()),
            (Some("a (1).txt"), b"theirs".into())
        );
        assert_eq!(second.file_name().unwrap().to_str(), Some("a (2).txt"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "nothing partial is left");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_with_another_hash_than_announced_is_taken_away() {
        let folder = folder();
        let (_, matches) = received(&folder, "a", 0, b"one", Some(Sha1::digest(b"two").into()));
        assert_eq!(matches, Some(false));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(folder).unwrap();
    }

    /// RFC 5547 §8.5.
    #[test]
    fn the_rest_of_a_file_completes_what_was_kept() {
        let folder = folder();
        let mut broken = Incoming::create(folder.clone(), "a", 0, None).unwrap();
        broken.write(b"the begin").unwrap();
        drop(broken);
        assert_eq!(kept(&folder, "a"), 9);
        let hash = Some(Sha1::digest(b"the beginning and the end").into());
        let (path, matches) = received(&folder, "a", 9, b"ning and the end", hash);
        assert_eq!((matches, fs::read(path).unwrap()), (Some(true), b"the beginning and the end".into()));
        // More cannot be gone on with than there is.
        assert!(Incoming::create(folder.clone(), "a", 9, None).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
