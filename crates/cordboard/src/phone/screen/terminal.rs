//! The terminal: taken when the screen opens, and given back whatever happens.

use std::io::{self, BufWriter, Stdout, Write as _, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::chat::{ShownChat, view_chat};
use super::keys::{Key, meant};
use super::meter::Peaks;
use super::palette::Palette;
use super::shown::Shown;
use super::view::{Look, view};

/// Keys that wait to be read; nobody types faster.
const KEYS: usize = 64;

/// How soon it is looked for room among them.
const ROOM: Duration = Duration::from_millis(1);

/// How soon the keys are let go of when the screen closes.
const GLANCE: Duration = Duration::from_millis(50);

/// The terminal, while it is ours.
pub(in crate::phone) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    palette: Palette,
    peaks: Peaks,
    reader: Option<JoinHandle<()>>,
    ask: Arc<Ask>,
}

/// What the thread that reads the keys is told.
#[derive(Default)]
struct Ask {
    typing: AtomicBool,
    stop: AtomicBool,
}

impl Screen {
    /// Takes the terminal. The keys come from the receiver from now on, Ctrl-C among them.
    pub(in crate::phone) fn open() -> io::Result<(Screen, mpsc::Receiver<Key>)> {
        enter()?;
        Screen::start().inspect_err(|_| leave())
    }

    fn start() -> io::Result<(Screen, mpsc::Receiver<Key>)> {
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(stdout())))?;
        let (sender, keys) = mpsc::channel(KEYS);
        let ask = Arc::new(Ask::default());
        let told = ask.clone();
        let reader = thread::Builder::new().name("keys".to_owned()).spawn(move || read(&told, &sender))?;
        let palette = Palette::wished(std::env::var_os("NO_COLOR").as_deref());
        Ok((Screen { terminal, palette, peaks: Peaks::default(), reader: Some(reader), ask }, keys))
    }

    /// Shows it. After a panic anywhere in the process the terminal is the user's again, and nothing is drawn.
    pub(in crate::phone) fn draw(&mut self, shown: &Shown) {
        if !TAKEN.load(Ordering::Acquire) {
            return;
        }
        let meters = self.peaks.read(shown.call.as_ref(), Instant::now());
        let look = Look { meters, palette: self.palette, typing: self.ask.typing.load(Ordering::Relaxed) };
        // A terminal that has gone away ends the program by its signal.
        let _ = self.terminal.draw(|frame| view(frame, shown, &look));
    }

    /// Shows a chat.
    pub(in crate::phone) fn draw_chat(&mut self, shown: &ShownChat<'_>) {
        if TAKEN.load(Ordering::Acquire) {
            let palette = self.palette;
            let _ = self.terminal.draw(|frame| view_chat(frame, shown, palette));
        }
    }

    /// Says whether letters are text or commands.
    pub(in crate::phone) fn set_typing(&mut self, typing: bool) {
        self.ask.typing.store(typing, Ordering::Relaxed);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.ask.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // That thread has nothing that could be lost.
            let _ = reader.join();
        }
        leave();
    }
}

/// Reads keys until it is told to stop or nobody wants them any more.
fn read(ask: &Ask, keys: &mpsc::Sender<Key>) {
    while !ask.stop.load(Ordering::Relaxed) && !keys.is_closed() {
        match event::poll(GLANCE) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        let Ok(event) = event::read() else { return };
        for mut key in meant(&event, ask.typing.load(Ordering::Relaxed)) {
            // A pasted text is longer than the queue, and half of it would be worse than none.
            while let Err(TrySendError::Full(again)) = keys.try_send(key) {
                if ask.stop.load(Ordering::Relaxed) {
                    return;
                }
                key = again;
                thread::sleep(ROOM);
            }
        }
    }
}

/// Whether the terminal is ours. There is one terminal to a process, and the panic hook has nothing else to ask.
static TAKEN: AtomicBool = AtomicBool::new(false);

fn enter() -> io::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // What the panic says would be gone with the alternate screen.
            leave();
            before(panic);
        }));
    });
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::Release);
    // Not `Terminal::clear`: it asks the terminal where the cursor is, and waits where nothing answers (a pipe, `expect`).
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, Clear(ClearType::All)).inspect_err(|_| leave())
}

fn leave() {
    if TAKEN.swap(false, Ordering::AcqRel) {
        // There is nothing better to do for a terminal that does not obey.
        let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, crossterm::cursor::Show);
        let _ = stdout().flush();
        let _ = disable_raw_mode();
    }
}
