//! Effects become tasks, and tasks answer with messages.
//!
//! Every task has the ticket of its start and a token to stop it. A task that is stopped asks the server to stop its
//! query too. A panic in a task becomes an answer like any other, so that no screen waits for ever.

use std::any::Any;
use std::collections::HashMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::app::dashboard::Recording;
use super::app::job::{Job, Ticket};
use super::app::message::{Answer, Message, Planned, Tested, Work};
use super::files;
use super::recorder::{Outcome, Recorder};
use crate::catalog::deep;
use crate::catalog::gather::{gather, gather_and_probe, list_tables};
use crate::connection::inputs::Given;
use crate::connection::{Secret, Session, SessionOptions, Settings, connect, describe, printable};
use crate::monitor::act::act;
use crate::monitor::count::{Patience, count};
use crate::monitor::pace::Pace as Throttle;
use crate::monitor::recording::Header;
use crate::monitor::{Moment, Sample, Sampler, Target, memory};
use crate::preflight::evaluate;
use crate::profile::saved::Saved;
use crate::profile::store::{Store, StoreError};
use crate::profile::surroundings::{resolve_here, resolve_second};
use crate::profile::{Profile, keyring, secrets};
use crate::replication::{self, Progress, RunOptions};
use crate::setup::apply::apply;
use crate::setup::rehearse::rehearse;
use crate::setup::{Password, Plan, Wishes, plan, script};

const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// Nobody wants to wait longer for the next try once the source is back.
const LONGEST_WAIT: Duration = Duration::from_secs(16);
/// How long a task that is stopped gets to cancel its query.
const LONGEST_FAREWELL: Duration = Duration::from_secs(30);
/// The screen can't be read faster than this.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The tasks under way; dropped, they end.
pub struct Tasks {
    inbox: mpsc::Sender<Message>,
    running: HashMap<Job, Running>,
    stop_run: CancellationToken,
    pace: watch::Sender<Pace>,
    sampled: broadcast::Sender<Heard>,
}

/// What a sampling has brought, for whoever records it.
type Heard = (Job, Arc<Outcome>);

/// How many samples a recorder may be behind; it writes them much faster than they come.
const BEHIND: usize = 64;

struct Running {
    ticket: Ticket,
    cancel: CancellationToken,
    handle: AbortOnDropHandle<()>,
}

impl Tasks {
    /// Tasks that answer to `inbox`.
    #[must_use]
    pub fn new(inbox: mpsc::Sender<Message>) -> Self {
        let (pace, _) = watch::channel(Pace { every: SAMPLE_EVERY, asked: 0 });
        let (sampled, _) = broadcast::channel(BEHIND);
        Self { inbox, running: HashMap::new(), stop_run: CancellationToken::new(), pace, sampled }
    }

    /// Begins a task; an earlier one of the same kind is stopped.
    pub fn start(&mut self, ticket: Ticket, work: Work) {
        if let Some(old) = self.running.remove(&ticket.job) {
            retire(old);
        }
        self.running.retain(|_, running| !running.handle.is_finished());
        let cancel = CancellationToken::new();
        if ticket.job == Job::Run {
            self.stop_run = CancellationToken::new();
        }
        let desk = Desk {
            ticket,
            inbox: self.inbox.clone(),
            cancel: cancel.clone(),
            stop_run: self.stop_run.clone(),
            pace: self.pace.subscribe(),
            sampled: self.sampled.clone(),
        };
        let task = async move {
            let reply = desk.clone();
            let work = std::panic::AssertUnwindSafe(Box::pin(desk.perform(work)));
            if let Err(panic) = work.catch_unwind().await {
                reply.died(panic).await;
            }
        };
        let handle = AbortOnDropHandle::new(tokio::spawn(task));
        self.running.insert(ticket.job, Running { ticket, cancel, handle });
    }

    /// Stops a task, if it is still the one of this ticket.
    pub fn cancel(&mut self, ticket: Ticket) {
        if let Some(running) = self.running.get(&ticket.job).filter(|running| running.ticket == ticket) {
            running.cancel.cancel();
        }
    }

    /// Samples at this pace from now on, or if none is given once more right now, with everything read anew.
    pub fn pace(&self, every: Option<Duration>) {
        self.pace.send_modify(|pace| match every {
            Some(every) => pace.every = every,
            None => pace.asked += 1,
        });
    }

    /// Lets the replication finish its batch and end.
    pub fn stop_run(&self) {
        self.stop_run.cancel();
    }
}

/// How often the source is looked at.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    /// How often somebody asked to look at once.
    asked: u64,
}

/// Stops a task that another one replaces; it gets a moment to cancel its query.
fn retire(running: Running) {
    running.cancel.cancel();
    tokio::spawn(async move {
        let _ = tokio::time::timeout(LONGEST_FAREWELL, running.handle).await;
    });
}

/// What a task needs to do its work and to answer.
#[derive(Clone)]
struct Desk {
    ticket: Ticket,
    inbox: mpsc::Sender<Message>,
    cancel: CancellationToken,
    stop_run: CancellationToken,
    pace: watch::Receiver<Pace>,
    sampled: broadcast::Sender<Heard>,
}

impl Desk {
    async fn say(&self, answer: Answer) {
        // Nobody listens any more when walpilot is being left.
        let _ = self.inbox.send(Message::Task(self.ticket, answer)).await;
    }

    async fn died(&self, panic: Box<dyn Any + Send>) {
        let text = said(panic);
        self.say(Answer::Died(format!("walpilot has a defect here and stopped this task ({text}). Please report it.")))
            .await;
    }

    async fn perform(self, work: Work) {
        let answer = match work {
            Work::Run(options) => return Box::pin(self.replicate(options)).await,
            Work::Apply(admin, plan) => return Box::pin(self.apply(&admin, &plan)).await,
            Work::Watch(target) => return Box::pin(self.watch(target)).await,
            Work::Record { path, header, of } => Some(Answer::Recorded(self.record(&path, &header, of).await)),
            Work::FindKeyring => Some(Answer::Keyring(keyring::available().await.is_ok())),
            Work::FetchSecrets(source, settings) => {
                let fetching = Box::pin(secrets::fetch(&source, &settings));
                self.cancel.run_until_cancelled(fetching).await.map(Answer::Secrets)
            }
            Work::Count(target, table) => {
                let counting = Box::pin(count(&target, &table, Patience::default()));
                let counted = self.cancel.run_until_cancelled(counting).await;
                counted.map(|result| Answer::Counted(result.map(Box::new)))
            }
            Work::Act(settings, sql) => {
                // Once it was sent, only its answer tells whether it was done.
                Some(Answer::Acted(Box::pin(act(&settings, &sql)).await))
            }
            Work::Test(settings) => test(&self, &settings).await,
            Work::Resolve(text, second) => resolve(text, second).await,
            Work::SaveProfile { name, saved, replace, keyring } => {
                save_profile(name, *saved, replace, keyring.as_deref()).await
            }
            Work::ListTables(settings) => list(&self, &settings).await,
            Work::Preflight { profile, reader, deep } => judge(&self, &profile, &reader, deep).await,
            Work::Plan(profile, admin) => make_plan(&self, &profile, admin.as_ref()).await,
            Work::Rehearse(profile, admin, plan) => try_out(&self, &profile, &admin, &plan).await,
            Work::Write(path, text) => Some(Answer::Written(files::write(path, text).await)),
            Work::WriteParts(folder, parts) => Some(Answer::Written(files::write_parts(folder, parts).await)),
        };
        if let Some(answer) = answer {
            self.say(answer).await;
        }
    }

    /// Connects, unless the task is stopped before.
    async fn connected(
        &self,
        settings: &Settings,
        options: &SessionOptions,
    ) -> Option<Result<Session, crate::connection::Failure>> {
        self.cancel.run_until_cancelled(Box::pin(connect(settings, options))).await
    }

    /// Runs a query on `session`; when the task is stopped, the server is asked to stop it too.
    async fn queried<T>(&self, session: &Session, query: impl Future<Output = T>) -> Option<T> {
        let result = self.cancel.run_until_cancelled(query).await;
        if result.is_none() {
            let _ = session.cancel().await;
        }
        result
    }

    async fn apply(self, admin: &Settings, plan: &Plan) {
        let session = match self.connected(admin, &SessionOptions::administer()).await {
            None => {
                return self.say(Answer::Applied(Err("It was cancelled before anything was done.".to_owned()))).await;
            }
            Some(Err(failure)) => return self.say(Answer::Applied(Err(failure.to_string()))).await,
            Some(Ok(session)) => session,
        };
        let (events, mut heard) = mpsc::unbounded_channel();
        let on_event = move |event| {
            let _ = events.send(event);
        };
        let mut work = pin!(apply(&session, plan, &self.cancel, on_event));
        let result = loop {
            tokio::select! {
                biased;
                Some(event) = heard.recv() => self.say(Answer::Applying(event)).await,
                result = &mut work => break result,
            }
        };
        while let Ok(event) = heard.try_recv() {
            self.say(Answer::Applying(event)).await;
        }
        self.say(Answer::Applied(result.map_err(|error| error.to_string()))).await;
    }

    async fn replicate(self, options: RunOptions) {
        let (progress, mut latest) = watch::channel(Progress::default());
        let (events, mut heard) = mpsc::channel(64);
        let run = replication::run(options, progress, events, self.stop_run.clone());
        // A task of its own: drawing and answering never hold it up. Dropped, it stops at once, which is as safe.
        let mut run = AbortOnDropHandle::new(tokio::spawn(run));
        let mut next = Instant::now();
        let ended = loop {
            tokio::select! {
                ended = &mut run => break ended,
                () = self.cancel.cancelled() => return,
                Some(event) = heard.recv() => self.say(Answer::RunEvent(event)).await,
                Ok(()) = changed(&mut latest, next) => {
                    let now = latest.borrow_and_update().clone();
                    self.say(Answer::Progress(Box::new(now))).await;
                    next = Instant::now() + PROGRESS_EVERY;
                }
            }
        };
        while let Ok(event) = heard.try_recv() {
            self.say(Answer::RunEvent(event)).await;
        }
        let last = latest.borrow_and_update().clone();
        self.say(Answer::Progress(Box::new(last))).await;
        match ended {
            Ok(result) => self.say(Answer::RunEnded(result.map(Box::new).map_err(|error| error.to_string()))).await,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => self.died(panic).await,
                Err(_) => self.say(Answer::RunEnded(Err("The replication was stopped at once.".to_owned()))).await,
            },
        }
    }

    /// Samples until it is stopped, and connects again with growing pauses when the source is lost.
    async fn watch(mut self, mut target: Target) {
        target.memory = target.memory.or_else(memory::directory);
        match files::alerts(&target.alerts) {
            Ok(alerts) => target.alerts = alerts,
            Err(reason) => self.say(Answer::Unconfigured(reason)).await,
        }
        let cancel = self.cancel.clone();
        let sampling = async {
            let mut pause = SAMPLE_EVERY;
            let mut wanted = self.pace.borrow().every;
            let mut throttle = Throttle::new(wanted);
            let mut told = wanted;
            loop {
                let reason = match Sampler::connect(target.clone()).await {
                    Ok(mut sampler) => loop {
                        match sampler.sample().await {
                            Ok(sample) => {
                                let every = self.pace.borrow().every;
                                if every != std::mem::replace(&mut wanted, every) {
                                    throttle = Throttle::new(every);
                                }
                                // A server that answers slowly is asked more seldom than the user wants.
                                throttle.took(Duration::from_micros(sample.pulse_micros));
                                self.keep(|| Ok(sample.clone()));
                                self.say(Answer::Sampled(Box::new(sample))).await;
                                if std::mem::replace(&mut told, throttle.pause()) != throttle.pause() {
                                    let slow = Some(throttle.pause()).filter(|pause| *pause > wanted);
                                    self.say(Answer::Throttled(slow)).await;
                                }
                                pause = SAMPLE_EVERY;
                            }
                            Err(reason) => break reason,
                        }
                        if self.next_sample(throttle.pause()).await {
                            sampler.refresh();
                        }
                    },
                    Err(failure) => failure.to_string(),
                };
                self.keep(|| Err(reason.clone()));
                self.say(Answer::SampleFailed(reason, pause)).await;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_WAIT);
            }
        };
        cancel.run_until_cancelled(Box::pin(sampling)).await;
    }

    /// Hands an outcome to the recorder, if there is one.
    fn keep(&self, outcome: impl FnOnce() -> Result<Sample, String>) {
        if self.sampled.receiver_count() > 0 {
            let heard = now();
            // Whoever stopped listening meanwhile misses nothing.
            let _ = self.sampled.send((self.ticket.job, Arc::new((heard, outcome()))));
        }
    }

    /// Records what `of` samples until it is stopped. What was written then is whole.
    async fn record(&self, path: &Path, header: &Header, of: Job) -> Result<Recording, String> {
        let mut heard = self.sampled.subscribe();
        let mut recorder = Recorder::begin(path, header)?;
        self.say(Answer::Recording(recorder.state())).await;
        while let Some(outcome) = self.cancel.run_until_cancelled(heard.recv()).await {
            match outcome {
                Ok((job, outcome)) if job == of => {
                    recorder.add(&outcome)?;
                    self.say(Answer::Recording(recorder.state())).await;
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            }
        }
        Ok(recorder.state())
    }

    /// Waits for the pause between two samples. Returns whether somebody asked for all to be read anew.
    async fn next_sample(&mut self, pause: Duration) -> bool {
        let before = *self.pace.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            Ok(()) = self.pace.changed() => self.pace.borrow().asked != before.asked,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a recording says when a try ended on this machine's clock")]
fn now() -> Moment {
    std::time::SystemTime::now().into()
}

/// What a panic said.
fn said(panic: Box<dyn Any + Send>) -> String {
    let text = match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    };
    printable(&text).into_owned()
}

/// Waits for a newer value, but not before `next`.
async fn changed(latest: &mut watch::Receiver<Progress>, next: Instant) -> Result<(), watch::error::RecvError> {
    tokio::time::sleep_until(next).await;
    latest.changed().await
}

/// What is worth knowing of a server before it is used.
const LOOK: &str = "SELECT current_setting('server_version'), pg_is_in_recovery(), \
                    has_database_privilege(current_database(), 'CREATE')";

async fn test(desk: &Desk, settings: &Settings) -> Option<Answer> {
    let session = match desk.connected(settings, &SessionOptions::inspect()).await? {
        Ok(session) => session,
        Err(failure) => return Some(Answer::Tested(Err(Box::new(failure)))),
    };
    let look = async {
        let row = session.client.query_one(LOOK, &[]).await?;
        Ok::<_, tokio_postgres::Error>((row.try_get::<_, String>(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let result = desk.queried(&session, look).await?;
    let tested = result.map(|(version, in_recovery, may_create)| Tested {
        version: printable(&version).into_owned(),
        security: session.security.clone(),
        in_recovery,
        may_create,
    });
    Some(Answer::Tested(tested.map_err(|error| {
        let trouble = crate::connection::cause::Trouble::Other(describe(&error));
        Box::new(crate::connection::Failure::explain(&trouble, settings))
    })))
}

/// Reads files, so it does not run on the interface's thread.
async fn resolve(text: Secret, second: bool) -> Option<Answer> {
    let read = move || {
        let given = Given { text: Some(Zeroizing::new(text.reveal().to_owned())), ..Given::default() };
        if second { resolve_second(&given) } else { resolve_here(&given) }
    };
    let resolved = tokio::task::spawn_blocking(read).await.ok()?;
    Some(Answer::Resolved(resolved.map(Box::new).map_err(|error| error.to_string())))
}

async fn save_profile(name: String, saved: Saved, replace: bool, keyring: Option<&Settings>) -> Option<Answer> {
    if let Some(settings) = keyring
        && let Err(error) = secrets::keep(settings).await
    {
        return Some(Answer::ProfileSaved(Err(error)));
    }
    let save = move || match Store::of_user().and_then(|store| store.save(&name, &saved, replace)) {
        Err(StoreError::Exists(name)) => Answer::ProfileExists(name),
        result => Answer::ProfileSaved(result.map_err(|error| error.to_string())),
    };
    tokio::task::spawn_blocking(save).await.ok()
}

async fn list(desk: &Desk, settings: &Settings) -> Option<Answer> {
    let session = match desk.connected(settings, &SessionOptions::inspect()).await? {
        Ok(session) => session,
        Err(failure) => return Some(Answer::Tables(Err(failure.to_string()))),
    };
    let result = desk.queried(&session, Box::pin(list_tables(&session))).await?;
    Some(Answer::Tables(result.map_err(|error| error.to_string())))
}

async fn judge(desk: &Desk, profile: &Profile, reader: &Settings, deep: bool) -> Option<Answer> {
    let session = match desk.connected(reader, &SessionOptions::inspect()).await? {
        Ok(session) => session,
        Err(failure) => return Some(Answer::Checked(Err(failure.to_string()))),
    };
    let mut result = desk.queried(&session, Box::pin(gather_and_probe(&session, profile))).await?;
    if let (Ok(facts), true) = (&mut result, deep) {
        // What a probe has begun ends with its connection when this task is stopped.
        let probed = desk.cancel.run_until_cancelled(Box::pin(deep::probe(profile, facts, deep::WATCH))).await?;
        facts.deep = Some(probed);
    }
    let result = result.map(|facts| Box::new(evaluate(&facts, profile)));
    Some(Answer::Checked(result.map_err(|error| error.to_string())))
}

async fn make_plan(desk: &Desk, profile: &Profile, admin: Option<&Settings>) -> Option<Answer> {
    let login = admin.unwrap_or(&profile.source);
    let session = match desk.connected(login, &SessionOptions::inspect()).await? {
        Ok(session) => session,
        Err(failure) => return Some(Answer::Planned(Err(failure.to_string()))),
    };
    let result = desk.queried(&session, Box::pin(gather_and_probe(&session, profile))).await?;
    let result = result.map(|facts| {
        let password = Password::of(profile.source.password.as_ref());
        let plan = plan(&facts, profile, &Wishes { password, all: None });
        let script = script::render(&plan, profile);
        Box::new(Planned { plan, script })
    });
    Some(Answer::Planned(result.map_err(|error| error.to_string())))
}

/// When the task is stopped, the end of its connection rolls back.
async fn try_out(desk: &Desk, profile: &Profile, admin: &Settings, plan: &Plan) -> Option<Answer> {
    let session = match desk.connected(admin, &SessionOptions::administer()).await? {
        Ok(session) => session,
        Err(failure) => return Some(Answer::Rehearsed(Err(failure.to_string()))),
    };
    let work = async {
        let before = gather(&session, profile).await.map_err(|error| error.to_string())?;
        rehearse(&session, profile, plan, &evaluate(&before, profile)).await.map(Box::new)
    };
    let result = desk.queried(&session, Box::pin(work)).await?;
    Some(Answer::Rehearsed(result))
}
