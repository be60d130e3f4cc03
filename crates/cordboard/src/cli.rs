//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ListenAddress};
use crate::hosting::{Hosting, Keys};
use crate::logs;
use crate::phone::{self, PhoneCommand, args};
use crate::serve::{self, ServeError};

/// Cordboard: SIP sessions as ordinary code.
///
/// Without a command it serves, with the defaults of `cordboard serve`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register phones, route their calls, and answer sip:echo@… until SIGTERM or Ctrl-C.
    Serve(ServeArgs),
    /// Call somebody: `cordboard call sip:echo@127.0.0.1`.
    Call(Box<args::CallArgs>),
    /// Chat with somebody: `cordboard chat alice@example.com`.
    Chat(Box<args::ChatArgs>),
    /// Send somebody a file.
    SendFile(Box<args::SendFileArgs>),
    /// Answer calls.
    Answer(Box<args::AnswerArgs>),
    /// Register an account and say how that went.
    Register(args::RegisterArgs),
    /// Send a message.
    Message(args::MessageArgs),
    /// Ask what somebody can do.
    Options(args::OptionsArgs),
    /// Add, list and remove accounts.
    Accounts(args::AccountsArgs),
    /// Show and change the phone's settings.
    Settings(args::SettingsArgs),
}

/// The arguments of `cordboard serve`.
#[derive(Args, Debug, Default)]
pub struct ServeArgs {
    /// The configuration file (TOML); docs/manual/configuration.md lists its keys.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen instead of what the configuration says: udp:, tcp:, tls:, ws: or wss:HOST:PORT; repeatable.
    #[arg(long, value_name = "TRANSPORT:HOST:PORT")]
    pub listen: Vec<ListenAddress>,
    /// Read the configuration, say whether it is good, and end.
    #[arg(long)]
    pub check: bool,
}

/// Exit code when the configuration or the command line is at fault.
pub const EXIT_CONFIGURATION: u8 = 2;
/// Exit code when the system did not give what was asked for, such as a port.
pub const EXIT_UNAVAILABLE: u8 = 1;

/// Runs a command; its result is the process's.
pub fn run(cli: Cli) -> ExitCode {
    let phone = |command| {
        logs::start_for_a_phone();
        phone::run(command)
    };
    match cli.command.unwrap_or(Command::Serve(ServeArgs::default())) {
        Command::Serve(args) => serve(args),
        Command::Call(args) => phone(PhoneCommand::Call(args)),
        Command::Chat(args) => phone(PhoneCommand::Chat(args)),
        Command::SendFile(args) => phone(PhoneCommand::SendFile(args)),
        Command::Answer(args) => phone(PhoneCommand::Answer(args)),
        Command::Register(args) => phone(PhoneCommand::Register(args)),
        Command::Message(args) => phone(PhoneCommand::Message(args)),
        Command::Options(args) => phone(PhoneCommand::Options(args)),
        Command::Accounts(args) => phone(PhoneCommand::Accounts(args)),
        Command::Settings(args) => phone(PhoneCommand::Settings(args)),
    }
}

fn serve(args: ServeArgs) -> ExitCode {
    let mut config = match args.config.as_deref().map(Config::read).transpose() {
        Ok(config) => config.unwrap_or_default(),
        Err(error) => return fail(EXIT_CONFIGURATION, &error),
    };
    logs::start(config.log.format);
    if !args.listen.is_empty() {
        config.listen = args.listen;
    }
    if let Err(error) = config.check() {
        return fail(EXIT_CONFIGURATION, &error);
    }
    if args.check {
        return match Hosting::shipped(&config, &Keys::known(0), 1) {
            Ok(_) => {
                say("the configuration is good");
                ExitCode::SUCCESS
            }
            Err(error) => fail(EXIT_CONFIGURATION, &error),
        };
    }
    match serve::run(&config, say) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServeError::Configuration(error)) => fail(EXIT_CONFIGURATION, &error),
        Err(error) => fail(EXIT_UNAVAILABLE, &error),
    }
}

#[expect(clippy::print_stdout, reason = "the program's own words to whoever started it")]
fn say(line: &str) {
    use std::io::Write as _;
    println!("{line}");
    // A reader that has gone is no reason to stop serving.
    let _ = std::io::stdout().flush();
}

#[expect(clippy::print_stderr, reason = "one line that says why the program ends")]
fn fail(code: u8, reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("cordboard: {reason}");
    ExitCode::from(code)
}
