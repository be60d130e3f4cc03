//! Recordings, read back by another library; disks that are slow, full or gone.

use super::super::Folder;
use super::*;
use crate::level::Dbfs;
use crate::signal;
use std::io::{self, Seek, SeekFrom, Write};
use std::process::Command;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

const RATE: SampleRate = SampleRate::SuperWide;
const TICK: usize = RATE.samples_per_tick();

fn recorded(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE.hertz(),
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    assert_eq!(reader.spec(), spec);
    reader.samples().map(|sample| sample.unwrap()).collect()
}

fn push_ticks(recorder: &mut Recorder, pcm: &[i16]) {
    pcm.chunks(TICK).for_each(|tick| recorder.push(tick));
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain for {what}");
}

#[test]
fn what_is_pushed_is_in_the_file_bit_by_bit() {
    let folder = Folder::new();
    let path = folder.file("a/b/call.wav");
    let mut recorder = Recorder::create(&path, RATE).unwrap();
    assert_eq!(recorder.path(), path);
    let said = signal::noise(1, TICK * 100, Dbfs(-20.0));
    push_ticks(&mut recorder, &said);
    assert_eq!(recorder.poll_event(), None);
    assert_eq!(recorder.close(), Ok(Duration::from_secs(2)));
    assert_eq!(recorded(&path), said);
}

#[test]
fn nothing_is_overwritten() {
    let folder = Folder::new();
    let path = folder.file("call.wav");
    let paths: Vec<PathBuf> = (0..3).map(|_| Recorder::create(&path, RATE).unwrap().path().to_owned()).collect();
    assert_eq!(paths, [path, folder.file("call-1.wav"), folder.file("call-2.wav")]);
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_a_recording() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let recorder = Recorder::create(&folder.file("alice/call.wav"), RATE).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(recorder.path()) & 0o077, 0);
    assert_eq!(mode(&folder.file("alice")) & 0o077, 0);
}

#[test]
fn on_hold_nothing_is_recorded() {
    let folder = Folder::new();
    let path = folder.file("call.wav");
    let mut recorder = Recorder::create(&path, RATE).unwrap();
    push_ticks(&mut recorder, &[1; TICK]);
    recorder.pause();
    assert!(recorder.is_paused());
    push_ticks(&mut recorder, &[2; TICK]);
    recorder.resume();
    push_ticks(&mut recorder, &[3; TICK]);
    recorder.close().unwrap();
    assert_eq!(recorded(&path), [[1; TICK], [3; TICK]].concat());
}

#[test]
fn a_stopped_recorder_finishes_and_says_so_once() {
    let folder = Folder::new();
    let mut recorder = Recorder::create(&folder.file("call.wav"), RATE).unwrap();
    push_ticks(&mut recorder, &[1; TICK * 50]);
    recorder.stop();
    let event = wait_for("the end", || recorder.poll_event());
    assert_eq!(event, RecorderEvent::Finished { recorded: Duration::from_secs(1) });
    assert_eq!(recorded(recorder.path()).len(), TICK * 50);
    recorder.push(&[1; TICK]);
    assert_eq!(recorder.poll_event(), None);
    assert_eq!(recorder.close(), Ok(Duration::from_secs(1)));
}

#[test]
fn the_file_of_a_killed_process_is_playable() {
    let folder = Folder::new();
    let path = folder.file("call.wav");
    let mut recorder = Recorder::create(&path, RATE).unwrap();
    assert!(recorded(&path).is_empty());
    push_ticks(&mut recorder, &[7; TICK * 50]);
    // Nobody stops it, and nobody pushes more; its sizes come all the same.
    wait_for("the sizes", || (recorded(&path).len() == TICK * 50).then_some(()));
    std::mem::forget(recorder);
}

#[test]
fn a_dropped_recorder_loses_nothing() {
    let folder = Folder::new();
    let path = folder.file("call.wav");
    let mut recorder = Recorder::create(&path, RATE).unwrap();
    push_ticks(&mut recorder, &[7; TICK * 10]);
    drop(recorder);
    assert_eq!(recorded(&path).len(), TICK * 10);
}

#[test]
fn a_place_where_nothing_can_be_written_is_an_error_that_names_it() {
    let folder = Folder::new();
    std::fs::write(folder.file("file"), "").unwrap();
    let path = folder.file("file/call.wav");
    let error = Recorder::create(&path, RATE).err().unwrap();
    assert_eq!(error.path, path);
    assert!(matches!(error.problem, WavProblem::Io(..)), "{error}");
}

/// A disk that writes only while it is let, and only so much.
struct Disk {
    content: Arc<Mutex<io::Cursor<Vec<u8>>>>,
    runs: Arc<(Mutex<bool>, Condvar)>,
    size: usize,
}

impl Disk {
    fn new(size: usize) -> Disk {
        Disk { content: Arc::default(), runs: Arc::new((Mutex::new(true), Condvar::new())), size }
    }

    fn record(self) -> Recorder {
        let path = PathBuf::from("/disk/call.wav");
        Recorder::start(WavFile::start(self, RATE).unwrap(), path, RATE).unwrap()
    }
}

fn let_run(runs: &Arc<(Mutex<bool>, Condvar)>, run: bool) {
    *runs.0.lock().unwrap() = run;
    runs.1.notify_all();
}

impl Write for Disk {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let (runs, changed) = &*self.runs;
        drop(changed.wait_while(runs.lock().unwrap(), |runs| !*runs).unwrap());
        let mut content = self.content.lock().unwrap();
        let room = self.size - content.position() as usize;
        if room < octets.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.content.lock().unwrap().seek(position)
    }
}

impl Medium for Disk {
    fn truncate(&mut self, octets: u64) -> io::Result<()> {
        self.content.lock().unwrap().get_mut().truncate(octets as usize);
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_of_and_pushing_goes_on_unharmed() {
    let mut recorder = Disk::new(100).record();
    let event = wait_for("the full disk", || {
        recorder.push(&[1; TICK]);
        recorder.poll_event()
    });
    let problem = WavProblem::DiskFull;
    assert_eq!(event, RecorderEvent::Failed(WavError { path: "/disk/call.wav".into(), problem }));
    for _ in 0..500 {
        recorder.push(&[1; TICK]);
        assert_eq!(recorder.poll_event(), None);
    }
    assert_eq!(recorder.close().unwrap_err().to_string(), "/disk/call.wav: the disk is full");
}

#[test]
fn a_disk_that_stands_still_never_holds_up_who_pushes_and_what_follows_keeps_its_place() {
    let disk = Disk::new(usize::MAX);
    let (runs, content) = (Arc::clone(&disk.runs), Arc::clone(&disk.content));
    let mut recorder = disk.record();
    let_run(&runs, false);
    let started = Instant::now();
    // Six seconds, of which four fit.
    for _ in 0..300 {
        recorder.push(&[1; TICK]);
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let mut lost = 0;
    while let Some(RecorderEvent::Overflowed { samples }) = recorder.poll_event() {
        lost += samples as usize;
    }
    assert_eq!(lost, TICK * 100);
    let_run(&runs, true);
    wait_for("room", || (recorder.ring.slots() > TICK * 150).then_some(()));
    for _ in 0..50 {
        recorder.push(&[2; TICK]);
    }
    assert_eq!(recorder.close(), Ok(Duration::from_secs(7)));
    let content = content.lock().unwrap().get_ref()[44..].to_vec();
    let samples: Vec<i16> = content.chunks(2).map(|octets| i16::from_le_bytes([octets[0], octets[1]])).collect();
    assert!(samples[..TICK * 200].iter().all(|&sample| sample == 1));
    assert!(samples[TICK * 200..TICK * 300].iter().all(|&sample| sample == 0));
    assert!(samples[TICK * 300..].iter().all(|&sample| sample == 2));
}

/// On a real file system of 128 KiB, in a mount namespace of its own: the test calls itself there. Where the system does
/// not allow that, it says so and proves nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_ends_the_recording_and_leaves_a_playable_file() {
    const INSIDE: &str = "CORDBOARD_SMALL_DISK";
    if let Some(folder) = std::env::var_os(INSIDE) {
        return fill_small_disk(Path::new(&folder));
    }
    let folder = Folder::new();
    let name = "wav::recorder::tests::a_full_file_system_ends_the_recording_and_leaves_a_playable_file";
    let script = "mount -t tmpfs -o size=128k none \"$0\" || exit 77; exec \"$1\" --exact \"$2\"";
    let inside = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(INSIDE, folder.path())
        .output();
    match inside {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        }
        Ok(output) if output.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&output.stdout)),
        other => eprintln!("not tested: no file system can be mounted here ({other:?})"),
    }
}

#[cfg(target_os = "linux")]
fn fill_small_disk(folder: &Path) {
    let path = folder.join("call.wav");
    let mut recorder = Recorder::create(&path, RATE).unwrap();
    let event = wait_for("the full disk", || {
        recorder.push(&[1; TICK]);
        recorder.poll_event()
    });
    assert_eq!(event, RecorderEvent::Failed(WavError::new(&path, WavProblem::DiskFull)));
    let recorded = recorded(&path);
    assert!(recorded.len() > 50_000, "{}", recorded.len());
    assert!(recorded.iter().all(|&sample| sample == 1));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 44 + 2 * recorded.len() as u64);
    let again = Recorder::create(&folder.join("next.wav"), RATE).err().unwrap();
    assert_eq!(again.problem, WavProblem::DiskFull);
}
