//! The arguments of the phone's commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

/// Which account, and where its settings are.
#[derive(Args, Clone, Debug, Default)]
pub struct AccountArgs {
    /// The account: its address, or how that begins; otherwise the default one.
    #[arg(short, long, value_name = "ADDRESS")]
    pub account: Option<String>,
    /// The folder of accounts and settings, instead of `cordboard` in the XDG configuration folder.
    #[arg(short, long, value_name = "FOLDER")]
    pub config_directory: Option<PathBuf>,
    /// Change a setting for this run: `audio.input=tone:440`; an account's with `account.` before it:
    /// `account.rtp.encryption=dtls_mandatory`. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Send by this route instead of what the account and the address say: `HOST:PORT;transport=tcp`. Repeatable; they are
    /// tried in order.
    #[arg(long, value_name = "ROUTE")]
    pub route: Vec<String>,
}

/// What is shown and written down.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// No live screen: a line for each thing that happens.
    #[arg(long)]
    pub no_tui: bool,
    /// Every notification as one line of JSON; no screen.
    #[arg(long)]
    pub json: bool,
    /// Write every SIP message to this file (`-`: the standard error).
    #[arg(long, value_name = "FILE")]
    pub trace_sip: Option<PathBuf>,
    /// Write statistics of the audio to this file every second, as JSON lines (`-`: the standard error).
    #[arg(long, value_name = "FILE")]
    pub trace_rtp: Option<PathBuf>,
    /// Write every octet of chats and files to this file (`-`: the standard error).
    #[arg(long, value_name = "FILE")]
    pub trace_msrp: Option<PathBuf>,
    /// Capture signalling and media as .pcapng, with the session keys: signalling in clear, media as on the wire.
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
}

/// What is done in a call.
#[derive(Args, Clone, Debug, Default)]
pub struct ScriptArgs {
    /// Play this WAV file once the call is up.
    #[arg(long, value_name = "FILE")]
    pub play: Option<PathBuf>,
    /// Record what both say to this WAV file.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Send these digits once the call is up; a comma waits half a second.
    #[arg(long, value_name = "DIGITS")]
    pub dtmf: Option<String>,
    /// End the call after so many seconds of it; otherwise the other side, or a key, ends it. After what is to be played
    /// when this is not given and --play is.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// What must have happened for the exit code to be 0; repeatable. `answered`, `busy`, `rejected`, a status such as
    /// `486`, `audio`, `silence`, `encrypted`, `tone:440`, `dtmf:123#`, `codec:opus`, `mos:4.0`, `message:TEXT`, `ended-by:remote`.
    #[arg(long, value_name = "WHAT")]
    pub expect: Vec<String>,
    /// Where our audio comes from: `silence`, `tone:440`, `file:a.wav`, `pipe:-`, `sound`.
    #[arg(long, value_name = "DEVICE")]
    pub input: Option<String>,
    /// Where what we hear goes to: `null`, `file:a.wav`, `pipe:-`, `sound`.
    #[arg(long, value_name = "DEVICE")]
    pub output: Option<String>,
    /// Codecs, the most liked first: `opus,G722,PCMU,PCMA,L16`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub codecs: Vec<String>,
    /// How media is encrypted.
    #[arg(long, value_enum)]
    pub encryption: Option<EncryptionArg>,
}

/// How media is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EncryptionArg {
    /// Never.
    Disabled,
    /// SDES keys, if the other side has them, too.
    SdesOptional,
    /// SDES keys or nothing.
    SdesMandatory,
    /// DTLS, if the other side does it, too.
    DtlsOptional,
    /// DTLS or nothing.
    DtlsMandatory,
    /// DTLS or SDES, whichever the other side has.
    Opportunistic,
}

/// The arguments of `cordboard call`.
#[derive(Args, Clone, Debug)]
pub struct CallArgs {
    /// Whom: `sip:echo@127.0.0.1`, `alice@example.com`, or a user of the account's domain.
    #[arg(value_name = "URI")]
    pub callee: String,
    /// Give up when it has not been answered for so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub ring: Option<Duration>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub account: AccountArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub script: ScriptArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub output: OutputArgs,
}

/// The arguments of `cordboard chat`.
#[derive(Args, Clone, Debug)]
pub struct ChatArgs {
    /// With whom: `alice@example.com`, a user of the account's domain, or a room.
    #[arg(value_name = "URI")]
    pub to: String,
    /// Say this and end when it has arrived; repeatable. Without it, what is typed is said, or the lines of the standard
    /// input; a line `/help` lists what else can be typed.
    #[arg(long, value_name = "TEXT")]
    pub message: Vec<String>,
    /// End after so many seconds of it.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// What must have happened for the exit code to be 0; repeatable. `delivered`, `message:TEXT` (one that contains that
    /// has come), `answered`, `busy`, `rejected`, a status such as `486`, `ended-by:remote`.
    #[arg(long, value_name = "WHAT")]
    pub expect: Vec<String>,
    /// Give up when it has not been answered for so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub ring: Option<Duration>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub account: AccountArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub output: OutputArgs,
}

impl ChatArgs {
    pub(super) fn script(&self) -> ScriptArgs {
        ScriptArgs { expect: self.expect.clone(), ..ScriptArgs::default() }
    }
}

/// The arguments of `cordboard send-file`.
#[derive(Args, Clone, Debug)]
pub struct SendFileArgs {
    /// To whom.
    #[arg(value_name = "URI")]
    pub to: String,
    /// Which file. How far it is, is shown on a terminal, and told every five seconds elsewhere.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub account: AccountArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub output: OutputArgs,
}

/// The arguments of `cordboard answer`.
#[derive(Args, Clone, Debug)]
pub struct AnswerArgs {
    /// Answer by itself, after so many seconds; without a number at once.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "0", value_parser = seconds)]
    pub auto_answer: Option<Duration>,
    /// Reject every call with this status.
    #[arg(long, value_name = "STATUS", conflicts_with = "auto_answer")]
    pub reject: Option<u16>,
    /// Send back what the caller says, and writes.
    #[arg(long)]
    pub mirror: bool,
    /// Take chats, too.
    #[arg(long)]
    pub chat: bool,
    /// Take files, too, into this folder; no file that is there is overwritten.
    #[arg(long, value_name = "FOLDER")]
    pub files: Option<PathBuf>,
    /// End after so many calls; otherwise go on until Ctrl-C.
    #[arg(long, value_name = "NUMBER")]
    pub calls: Option<u32>,
    /// The port for UDP and TCP; otherwise as the settings say, and 5060 if that is free.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub account: AccountArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub script: ScriptArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub output: OutputArgs,
}

/// The arguments of `cordboard register`.
#[derive(Args, Clone, Debug)]
pub struct RegisterArgs {
    /// Stay registered until Ctrl-C; otherwise register once, say how that went, and take it back.
    #[arg(long)]
    pub stay: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub account: AccountArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub output: OutputArgs,
}

/// The arguments of `cordboard message`.
#[derive(Args, Clone, Debug)]
pub struct MessageArgs {
    /// To whom.
    #[arg(value_name = "URI")]
    pub to: String,
    /// What; without it the standard input is sent.
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Its Content-Type.
    #[arg(long = "type", value_name = "TYPE", default_value = "text/plain;charset=UTF-8")]
    pub content_type: String,
    /// Send it over a chat of its own (MSRP), and not as a MESSAGE.
    #[arg(long)]
    pub msrp: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub account: AccountArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub output: OutputArgs,
}

/// The arguments of `cordboard options`.
#[derive(Args, Clone, Debug)]
pub struct OptionsArgs {
    /// Whom to ask what it can do.
    #[arg(value_name = "URI")]
    pub uri: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub account: AccountArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub output: OutputArgs,
}

/// The arguments of `cordboard accounts`.
#[derive(Args, Clone, Debug)]
pub struct AccountsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AccountsCommand,
    /// The folder of accounts and settings, instead of `cordboard` in the XDG configuration folder.
    #[arg(short, long, value_name = "FOLDER", global = true)]
    pub config_directory: Option<PathBuf>,
}

/// What to do with accounts.
#[derive(Clone, Debug, Subcommand)]
pub enum AccountsCommand {
    /// Add an account. The password is asked for, or read from the standard input; it is not given as an argument, where
    /// others could see it.
    Add {
        /// Its address: `alice@example.com`.
        #[arg(value_name = "ADDRESS")]
        address: String,
        /// Its settings: `sip.outbound_proxy=sip:proxy.example.com;transport=tls`. Repeatable.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// There is no password.
        #[arg(long)]
        no_password: bool,
        /// Make it the default account.
        #[arg(long)]
        default: bool,
    },
    /// List the accounts, the default one marked.
    List,
    /// Remove an account.
    Remove {
        /// Its address.
        #[arg(value_name = "ADDRESS")]
        address: String,
    },
}

/// The arguments of `cordboard settings`.
#[derive(Args, Clone, Debug)]
pub struct SettingsArgs {
    /// What to do; without it, show.
    #[command(subcommand)]
    pub command: Option<SettingsCommand>,
    /// The folder of accounts and settings, instead of `cordboard` in the XDG configuration folder.
    #[arg(short, long, value_name = "FOLDER", global = true)]
    pub config_directory: Option<PathBuf>,
    /// The settings of this account instead of the general ones.
    #[arg(short, long, value_name = "ADDRESS", global = true)]
    pub account: Option<String>,
}

/// What to do with settings.
#[derive(Clone, Debug, Subcommand)]
pub enum SettingsCommand {
    /// Show all, those that are not the default marked.
    Show,
    /// Show one.
    Get {
        /// Its name: `audio.codecs`.
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Change some.
    Set {
        /// `audio.sample_rate=16000`, `audio.codecs=opus,PCMU`.
        #[arg(value_name = "KEY=VALUE", required = true)]
        set: Vec<String>,
    },
    /// Give some their defaults back.
    Reset {
        /// Their names.
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{text:?} is no span of time"))
}
