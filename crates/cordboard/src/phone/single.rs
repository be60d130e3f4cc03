//! `cordboard register`, `cordboard message` and `cordboard options`: one request, and how it was answered.

use std::io::Read as _;

use client::{Data, Notification};

use super::args::{MessageArgs, OptionsArgs, OutputArgs, RegisterArgs};
use super::calling::PATIENCE;
use super::exit::Outcome;
use super::start::{Stop, Wishes, start};
use super::{json, lines, say};
use crate::engine::Notifications;

/// Registers, says how that went, and takes it back; or stays until it is interrupted.
pub(super) async fn register(args: RegisterArgs) -> Result<Outcome, Stop> {
    let started = start(&args.account, &args.output, Wishes::default()).await?;
    if started.account.id() == client::account::AccountId::BONJOUR {
        let advice = "there is no account to register: `cordboard accounts add alice@example.com` makes one";
        started.stop().await?;
        return Err(Stop::usage(advice));
    }
    let notifications = started.engine.notifications();
    started.account.register().await?;
    let outcome = until(
        &notifications,
        &args.output,
        |data| match data {
            Data::AccountRegistrationDidSucceed { .. } => (!args.stay).then_some(Outcome::Done),
            Data::AccountRegistrationDidFail { code, .. } if !args.stay => Some(match code {
                Some(code) if ![408, 503].contains(&code.code()) => Outcome::Refused,
                _ => Outcome::Unanswered,
            }),
            _ => None,
        },
        !args.stay,
    )
    .await;
    started.stop().await?;
    // Whoever stays until he is interrupted has what he wanted.
    Ok(if args.stay && outcome == Outcome::Interrupted { Outcome::Done } else { outcome })
}

/// Sends a message.
pub(super) async fn message(args: MessageArgs) -> Result<Outcome, Stop> {
    let text = match args.text {
        Some(text) => text,
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| Stop::usage(format!("no text: {error}")))?;
            text
        }
    };
    let started = start(&args.account, &args.output, Wishes::default()).await?;
    if args.msrp {
        return super::chat::messages(started, &args.to, vec![text], &args.output).await;
    }
    let notifications = started.engine.notifications();
    let routes = started.routes.clone();
    let sent = started.account.send_message_by(&args.to, &args.content_type, &text, routes).await?;
    let outcome = until(
        &notifications,
        &args.output,
        |data| match data {
            Data::AccountDidDeliverMessage { message_id, .. } if *message_id == sent => Some(Outcome::Done),
            Data::AccountDidNotDeliverMessage { message_id, code, .. } if *message_id == sent => {
                Some(refused(code.code()))
            }
            _ => None,
        },
        true,
    )
    .await;
    started.stop().await?;
    Ok(outcome)
}

/// Asks what somebody can do.
pub(super) async fn options(args: OptionsArgs) -> Result<Outcome, Stop> {
    let started = start(&args.account, &args.output, Wishes::default()).await?;
    let notifications = started.engine.notifications();
    let asked = started.account.options(&args.uri, started.routes.clone()).await?;
    let outcome = until(
        &notifications,
        &args.output,
        |data| match data {
            Data::AccountGotOptionsResponse { request_id, code, .. } if *request_id == asked => {
                Some(if code.is_success() { Outcome::Done } else { refused(code.code()) })
            }
            _ => None,
        },
        true,
    )
    .await;
    started.stop().await?;
    Ok(outcome)
}

fn refused(code: u16) -> Outcome {
    if [408, 503].contains(&code) { Outcome::Unanswered } else { Outcome::Refused }
}

/// Shows what is told until it settles the matter, or somebody interrupts.
async fn until(
    notifications: &Notifications,
    output: &OutputArgs,
    settles: impl Fn(&Data) -> Option<Outcome>,
    hurried: bool,
) -> Outcome {
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    loop {
        let notification = tokio::select! {
            notification = notifications.next() => notification,
            _ = tokio::signal::ctrl_c() => return Outcome::Interrupted,
            () = &mut deadline, if hurried => return Outcome::Unanswered,
        };
        let Some(notification) = notification else { return Outcome::Unavailable };
        show(&notification, output);
        if let Some(outcome) = settles(&notification.data) {
            return outcome;
        }
    }
}

fn show(notification: &Notification, output: &OutputArgs) {
    if output.json {
        say(&json::line(notification));
    } else if let Some(line) = lines::line(&notification.data, None) {
        say(&line);
    }
}
