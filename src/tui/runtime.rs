//! The loop: message -> update -> effects -> draw.
//!
//! It draws only when a message came in, and at most 30 times a second; between messages it waits for the one deadline
//! that the state names, so that a screen on which nothing moves costs nothing.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::app::message::{Effect, Message, Now};
use super::app::{App, update};
use super::tasks::Tasks;
use super::terminal::{self, Guard, Screen};
use super::view::{self, Theme};
use crate::connection::Secret;
use crate::connection::askpass::{Desk, Event as Asked};

const FRAME: Duration = Duration::from_millis(33);
/// How many messages are taken before the screen is drawn again.
const BATCH: usize = 32;

/// Both clocks.
#[expect(clippy::disallowed_methods, reason = "the loop is where time enters")]
#[must_use]
pub fn now() -> Now {
    Now { monotonic: Instant::now(), wall: SystemTime::now() }
}

/// How the loop was left.
pub struct End {
    /// The last state.
    pub app: App,
    /// Whether a signal ended it.
    pub interrupted: bool,
}

/// Shows `app` until it is left. The terminal is given back when this returns, and also when it unwinds.
///
/// # Errors
/// When the terminal can't be read or written.
pub async fn run(mut app: App, first: Vec<Effect>, theme: Theme) -> io::Result<End> {
    terminal::install_hooks();
    let (sender, mut inbox) = mpsc::channel(64);
    let mut tasks = Tasks::new(sender);
    // Without it ssh fails where it would have asked, and says so.
    let (desk, mut asked) = Desk::open().map_or((None, None), |(desk, asked)| (Some(desk), Some(asked)));
    let mut signals = Signals::listen()?;
    let _guard = Guard::enter()?;
    let mut screen = terminal::screen()?;
    let size = screen.size()?;
    let mut keys = EventStream::new();
    let mut interrupted = false;
    let mut waiting = vec![Message::Resized(size.width, size.height)];
    let mut effects = first;
    let mut dirty = true;
    let mut drawn: Option<Instant> = None;
    loop {
        for message in waiting.drain(..) {
            effects.extend(update(&mut app, message, now()));
            dirty = true;
        }
        for effect in std::mem::take(&mut effects) {
            match effect {
                Effect::Start(ticket, work) => tasks.start(ticket, *work),
                Effect::Cancel(ticket) => tasks.cancel(ticket),
                Effect::StopRun => tasks.stop_run(),
                Effect::Pace(pace) => tasks.pace(Some(pace)),
                Effect::Refresh => tasks.pace(None),
                Effect::Copy(text) => terminal::copy(&text)?,
                Effect::Suspend => {
                    screen = terminal::suspend()?;
                    dirty = true;
                }
                Effect::Answer(id, answer) => {
                    if let Some(desk) = &desk {
                        desk.answer(id, answer);
                    }
                }
                Effect::Quit => return Ok(End { app, interrupted }),
            }
        }
        let due = drawn.map_or_else(|| now().monotonic, |last| last + FRAME);
        if dirty && due <= now().monotonic {
            draw(&mut screen, &mut app, theme)?;
            (dirty, drawn) = (false, Some(now().monotonic));
        }
        let deadline = if dirty { Some(due) } else { app.next_deadline() };
        tokio::select! {
            heard = signals.next() => match heard {
                Heard::End => {
                    interrupted = true;
                    waiting.push(Message::Terminate);
                }
                Heard::Stop => effects.push(Effect::Suspend),
            },
            message = inbox.recv() => waiting.extend(message),
            event = next_question(&mut asked) => waiting.push(Message::Asked(event)),
            event = keys.next() => match event {
                Some(event) => waiting.extend(read(event?)),
                // The terminal has gone; there is nobody to ask.
                None => waiting.push(Message::Terminate),
            },
            () = until(deadline) => if !dirty { waiting.push(Message::Tick) },
        }
        // What came in meanwhile is taken along. The stream must be polled by this task: it wakes whoever asked first.
        while waiting.len() < BATCH {
            tokio::select! {
                biased;
                Some(event) = keys.next() => waiting.extend(read(event?)),
                Some(message) = inbox.recv() => waiting.push(message),
                () = std::future::ready(()) => break,
            }
        }
    }
}

/// What ssh asks next; never, where there is no desk.
async fn next_question(asked: &mut Option<mpsc::UnboundedReceiver<Asked>>) -> Asked {
    loop {
        match asked {
            Some(events) => match events.recv().await {
                Some(event) => return event,
                None => *asked = None,
            },
            None => std::future::pending().await,
        }
    }
}

fn draw(screen: &mut Screen, app: &mut App, theme: Theme) -> io::Result<()> {
    screen.draw(|frame| {
        let area = frame.area();
        // Keys that were pressed beyond the end of the help do not have to be taken back.
        if let Some(scroll) = app.help {
            app.help = Some(scroll.min(view::furthest_help(app, theme, area)));
        }
        view::draw(app, theme, area, frame.buffer_mut());
    })?;
    Ok(())
}

fn read(event: Event) -> Option<Message> {
    match event {
        Event::Key(key) => Some(Message::Key(key)),
        Event::Paste(text) => Some(Message::Paste(Secret::new(text))),
        Event::Resize(columns, rows) => Some(Message::Resized(columns, rows)),
        _ => None,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

enum Heard {
    End,
    Stop,
}

/// The signals that concern the interface.
struct Signals {
    end: [Signal; 3],
    stop: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let end = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?];
        let stop = signal(SignalKind::from_raw(signal_hook::consts::SIGTSTP))?;
        Ok(Self { end, stop })
    }

    async fn next(&mut self) -> Heard {
        let [terminate, hangup, interrupt] = &mut self.end;
        tokio::select! {
            _ = terminate.recv() => Heard::End,
            _ = hangup.recv() => Heard::End,
            _ = interrupt.recv() => Heard::End,
            _ = self.stop.recv() => Heard::Stop,
        }
    }
}
