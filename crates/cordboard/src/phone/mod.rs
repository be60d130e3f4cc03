//! The phone: `cordboard call`, `chat`, `answer`, `send-file`, `register`, `message`, `options`, `accounts`, `settings`.
//!
//! A user of [`crate::engine`] like any other program; nothing here is known to the layers below.

pub mod args;
mod assign;
mod call;
mod calling;
mod capture;
mod chat;
mod configure;
mod desk;
mod exit;
mod expect;
mod files;
mod json;
mod lines;
mod screen;
mod sending;
mod single;
mod start;
mod time;
mod trace;

use std::process::ExitCode;

use args::{
    AccountsArgs, AnswerArgs, CallArgs, ChatArgs, MessageArgs, OptionsArgs, RegisterArgs, SendFileArgs, SettingsArgs,
};
use exit::Outcome;
use start::Stop;

/// A command of the phone's.
#[derive(Clone, Debug)]
pub enum PhoneCommand {
    /// Call somebody.
    Call(Box<CallArgs>),
    /// Chat with somebody.
    Chat(Box<ChatArgs>),
    /// Send somebody a file.
    SendFile(Box<SendFileArgs>),
    /// Answer calls.
    Answer(Box<AnswerArgs>),
    /// Register an account.
    Register(RegisterArgs),
    /// Send a message.
    Message(MessageArgs),
    /// Ask what somebody can do.
    Options(OptionsArgs),
    /// Add, list and remove accounts.
    Accounts(AccountsArgs),
    /// Show and change settings.
    Settings(SettingsArgs),
}

/// Carries a command out; its result is the process's.
pub(crate) fn run(command: PhoneCommand) -> ExitCode {
    let done = match command {
        PhoneCommand::Accounts(args) => configure::accounts(args, say).map(|()| Outcome::Done).map_err(Stop::from),
        PhoneCommand::Settings(args) => configure::settings(args, say).map(|()| Outcome::Done).map_err(Stop::from),
        PhoneCommand::Call(args) => block_on(calling::call(*args)),
        PhoneCommand::Chat(args) => block_on(chat::chat(*args)),
        PhoneCommand::SendFile(args) => block_on(sending::send_file(*args)),
        PhoneCommand::Answer(args) => block_on(calling::answer(*args)),
        PhoneCommand::Register(args) => block_on(single::register(args)),
        PhoneCommand::Message(args) => block_on(single::message(args)),
        PhoneCommand::Options(args) => block_on(single::options(args)),
    };
    match done {
        Ok(outcome) => outcome.into(),
        Err(Stop { outcome, why }) => {
            complain(&why);
            outcome.into()
        }
    }
}

fn block_on(command: impl Future<Output = Result<Outcome, Stop>>) -> Result<Outcome, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Stop::unavailable)?;
    runtime.block_on(command)
}

/// A line for whoever reads what the command says.
#[expect(clippy::print_stdout, reason = "the program's own words to whoever started it")]
fn say(line: &str) {
    use std::io::Write as _;
    println!("{line}");
    // A reader that has gone is no reason to end a call.
    let _ = std::io::stdout().flush();
}

/// A line about what went wrong.
#[expect(clippy::print_stderr, reason = "one line that says what went wrong")]
fn complain(why: &str) {
    eprintln!("cordboard: {why}");
}
