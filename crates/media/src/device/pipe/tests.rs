//! Pipes with both sides in the hands of the test.

use super::super::{DeviceEvent, Reading, Sink, Source};
use super::*;
use crate::level::Dbfs;
use crate::pcm::SampleRate;
use crate::signal;
use crate::wav::Folder;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

const RATE: SampleRate = SampleRate::Wide;
const TICK: usize = RATE.samples_per_tick();

fn named_pipe(folder: &Folder) -> PathBuf {
    let path = folder.file("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

fn octets(pcm: &[i16]) -> Vec<u8> {
    pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain for {what}");
}

/// Reads until the end, leaving out the ticks in which nothing had come.
fn read_to_end(source: &mut PipeSource) -> Vec<i16> {
    let mut heard = Vec::new();
    wait_for("the end of the pipe", || {
        let mut pcm = [0; TICK];
        match source.read(&mut pcm) {
            Reading::Audio => heard.extend(pcm),
            Reading::Silence => assert_eq!(pcm, [0; TICK]),
            Reading::Over => return Some(()),
        }
        None
    });
    heard
}

#[test]
fn what_another_program_writes_is_heard_in_order_and_then_it_is_over() {
    let folder = Folder::new();
    let path = named_pipe(&folder);
    let mut source = PipeSource::open(&path, RATE).unwrap();
    // Nobody writes yet: that is silence, not the end, and nobody waits.
    let mut pcm = [1; TICK];
    assert_eq!(source.read(&mut pcm), Reading::Silence);
    assert_eq!(pcm, [0; TICK]);
    assert_eq!(source.poll_event(), None);
    let said = signal::noise(2, TICK * 60, Dbfs(-20.0));
    let written = octets(&said);
    let writer = thread::spawn(move || {
        let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
        // In pieces that split samples.
        written.chunks(333).for_each(|piece| pipe.write_all(piece).unwrap());
    });
    assert_eq!(read_to_end(&mut source), said);
    assert_eq!(source.poll_event(), Some(DeviceEvent::Ended));
    assert_eq!(source.poll_event(), None);
    writer.join().unwrap();
}

#[test]
fn a_file_of_raw_samples_is_heard_to_its_end_with_silence_in_its_last_tick() {
    let folder = Folder::new();
    let path = folder.file("raw");
    std::fs::write(&path, octets(&[5; TICK + 10])).unwrap();
    let heard = read_to_end(&mut PipeSource::open(&path, RATE).unwrap());
    assert_eq!(heard[..TICK + 10], [5; TICK + 10]);
    assert_eq!(heard[TICK + 10..], [0; TICK - 10]);
}

#[test]
fn whoever_reads_hears_the_call() {
    let folder = Folder::new();
    let path = named_pipe(&folder);
    let mut sink = PipeSink::open(&path, RATE).unwrap();
    // Nobody reads yet: it goes nowhere, however much it is.
    for _ in 0..100 {
        sink.write(&[1; TICK]);
        thread::sleep(Duration::from_micros(200));
    }
    let mut pipe = File::open(&path).unwrap();
    let reader = thread::spawn(move || {
        let mut heard = Vec::new();
        pipe.read_to_end(&mut heard).unwrap();
        heard
    });
    // Long enough for the sink to notice its reader.
    thread::sleep(LOOK_AGAIN_TWICE);
    for value in 100..150 {
        sink.write(&[value; TICK]);
        thread::sleep(Duration::from_millis(2));
    }
    Box::new(sink).close().unwrap();
    let heard = reader.join().unwrap();
    let expected: Vec<u8> = (100..150).flat_map(|value| octets(&[value; TICK])).collect();
    assert!(heard.ends_with(&expected), "{} of {}", heard.len(), expected.len());
}

#[test]
fn a_reader_that_stands_still_loses_audio_and_holds_up_nobody() {
    let folder = Folder::new();
    let path = named_pipe(&folder);
    let mut sink = PipeSink::open(&path, RATE).unwrap();
    // Opened for both, so that it opens without waiting and stays open without being read.
    let _reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut slowest = Duration::ZERO;
    let lost = wait_for("a loss", || {
        let started = Instant::now();
        sink.write(&[1; TICK]);
        slowest = slowest.max(started.elapsed());
        sink.poll_event()
    });
    assert!(matches!(lost, DeviceEvent::Lost { samples } if samples >= u64::from(RATE.hertz())), "{lost:?}");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    let started = Instant::now();
    assert!(Box::new(sink).close().is_err());
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_reader_that_leaves_is_told_of_and_writing_goes_on_unharmed() {
    let folder = Folder::new();
    let path = named_pipe(&folder);
    let mut sink = PipeSink::open(&path, RATE).unwrap();
    let mut reader = File::open(&path).unwrap();
    sink.write(&[1; TICK]);
    reader.read_exact(&mut [0; 2]).unwrap();
    drop(reader);
    let event = wait_for("the failure", || {
        sink.write(&[1; TICK]);
        sink.poll_event()
    });
    assert!(matches!(event, DeviceEvent::Failed(DeviceError::Pipe { .. })), "{event:?}");
    (0..100).for_each(|_| sink.write(&[1; TICK]));
    assert_eq!(sink.poll_event(), None);
}

#[test]
fn a_raw_file_is_made_and_never_overwritten() {
    let folder = Folder::new();
    let path = folder.file("raw");
    let mut sink = PipeSink::open(&path, RATE).unwrap();
    sink.write(&[-2; TICK]);
    Box::new(sink).close().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), octets(&[-2; TICK]));
    assert!(PipeSink::open(&path, RATE).is_err());
    PipeSink::open(Path::new("/dev/null"), RATE).unwrap().write(&[1; TICK]);
}

#[test]
fn a_pipe_that_cannot_be_opened_is_named() {
    let folder = Folder::new();
    let missing = PipeSource::open(&folder.file("none"), RATE).err().unwrap();
    assert!(missing.to_string().contains("none: No such file"), "{missing}");
    assert!(PipeSource::open(folder.path(), RATE).is_err());
    assert!(PipeSink::open(&folder.file("no/folder"), RATE).is_err());
    assert!(PipeSink::open(folder.path(), RATE).is_err());
}

const LOOK_AGAIN_TWICE: Duration = Duration::from_millis(300);
