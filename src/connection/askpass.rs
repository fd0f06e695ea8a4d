//! What ssh asks on the way to a bastion: whether to trust a host key, the passphrase of a key, a password.
//!
//! ssh runs the program that SSH_ASKPASS names for each question and reads the answer from its standard output (ssh(1)).
//! That program is walpilot itself, which carries the question over a socket to the walpilot that has a screen, and the
//! answer back. What this file promises: no secret stands in an argument, in the environment or in a file; the socket is in
//! a directory that only this account can enter, and only processes of an ssh that this walpilot started are heard; the
//! clock of an attempt stands still while somebody is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, getpgid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::printable;
use super::secret::Secret;

/// The environment variable by which a walpilot that ssh starts knows its socket. No secret: a path.
pub const VARIABLE: &str = "WALPILOT_ASKPASS";
/// Longer questions are cut: a server can put words into them.
const LONGEST: usize = 4096;

/// What kind of answer ssh waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `yes`, or the fingerprint itself; ssh then writes the key to its `known_hosts`.
    HostKey,
    /// A passphrase or password.
    Secret,
    /// Yes or no, for example whether the agent may use a key.
    Confirm,
    /// None: something has to be done, such as touching a security key.
    Notice,
}

impl Kind {
    /// `hint` is ssh's SSH_ASKPASS_PROMPT.
    fn of(hint: &str, text: &str) -> Self {
        match hint {
            "confirm" => Self::Confirm,
            "none" => Self::Notice,
            // Also "Please type 'yes', 'no' or the fingerprint:".
            _ if text.contains("yes/no") || text.contains("'yes', 'no'") => Self::HostKey,
            _ => Self::Secret,
        }
    }
}

/// A question of ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Names it in the answer.
    pub id: u64,
    /// What kind of answer is wanted.
    pub kind: Kind,
    /// ssh's words, line by line; safe to show.
    pub text: Vec<String>,
    /// Whether this ssh was given an answer to it before, which was wrong.
    pub again: bool,
}

/// What happens at the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody has to answer; see [`Desk::answer`].
    Asked(Question),
    /// Nobody waits for this answer any more.
    Withdrawn(u64),
}

/// Where questions arrive. While one is open every ssh of this process asks there; dropped, none asks any more.
pub struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    /// Made when the first ssh needs it: who uses none leaves nothing behind, however walpilot ends.
    place: Mutex<Option<Place>>,
    program: PathBuf,
    events: mpsc::UnboundedSender<Event>,
    next: AtomicU64,
    /// How many questions are open.
    waiting: watch::Sender<usize>,
    memory: Mutex<Memory>,
}

/// The socket, and who listens there.
struct Place {
    socket: PathBuf,
    _listener: AbortOnDropHandle<()>,
    _directory: tempfile::TempDir,
}

#[derive(Default)]
struct Memory {
    /// The process groups of our own ssh clients.
    groups: BTreeSet<i32>,
    open: BTreeMap<u64, oneshot::Sender<Option<Secret>>>,
    /// Answers that every further ssh needs again, by the question.
    known: BTreeMap<String, Secret>,
    /// Which questions each group was given an answer to.
    given: BTreeSet<(i32, String)>,
}

static OPEN: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// Opens the desk of this process.
    ///
    /// # Errors
    /// When the path of this program can't be told; then ssh asks nobody and fails where it would have asked.
    pub fn open() -> io::Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let (events, heard) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            place: Mutex::default(),
            program: std::env::current_exe()?,
            events,
            next: AtomicU64::new(1),
            waiting: watch::Sender::new(0),
            memory: Mutex::default(),
        });
        *locked(&OPEN) = Some(Arc::clone(&shared));
        Ok((Self { shared }, heard))
    }

    /// Answers a question; nothing means no.
    pub fn answer(&self, id: u64, answer: Option<Secret>) {
        if let Some(asker) = locked(&self.shared.memory).open.remove(&id) {
            // It may have gone a moment ago.
            let _ = asker.send(answer);
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        *locked(&OPEN) = None;
        // The listener knows what it serves, so nothing else would end it.
        *locked(&self.shared.place) = None;
    }
}

impl Shared {
    /// The socket, listened at.
    fn socket(self: &Arc<Self>) -> io::Result<PathBuf> {
        let mut place = locked(&self.place);
        if let Some(place) = place.as_ref() {
            return Ok(place.socket.clone());
        }
        // The directory is made with the rights 0700.
        let directory = tempfile::Builder::new().prefix("walpilot-").tempdir()?;
        let socket = directory.path().join("askpass");
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        let listening = AbortOnDropHandle::new(tokio::spawn(listen(listener, Arc::clone(self))));
        *place = Some(Place { socket: socket.clone(), _listener: listening, _directory: directory });
        Ok(socket)
    }
}

/// How an ssh asks: the program that it runs, and the socket that it is told of.
pub(super) struct Way {
    pub(super) program: PathBuf,
    pub(super) socket: PathBuf,
    shared: Arc<Shared>,
}

/// The way to the desk, if one is open and can have a socket.
pub(super) fn way() -> Option<Way> {
    let shared = Arc::clone(locked(&OPEN).as_ref()?);
    let socket = shared.socket().ok()?;
    Some(Way { program: shared.program.clone(), socket, shared })
}

impl Way {
    /// Lets the processes of this group ask, until the guard is dropped.
    pub(super) fn admit(self, group: Pid) -> Admitted {
        let group = group.as_raw_nonzero().get();
        locked(&self.shared.memory).groups.insert(group);
        Admitted { shared: self.shared, group }
    }
}

/// See [`Way::admit`].
pub(super) struct Admitted {
    shared: Arc<Shared>,
    group: i32,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut memory = locked(&self.shared.memory);
        memory.groups.remove(&self.group);
        memory.given.retain(|(group, _)| *group != self.group);
    }
}

async fn listen(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Whoever can't ask properly is one who gets no answer.
            let _ = serve(stream, &shared).await;
        });
    }
}

/// Answers one askpass program.
async fn serve(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let asker = stream.peer_cred()?.pid().and_then(Pid::from_raw);
    let group = getpgid(Some(asker.ok_or(io::ErrorKind::NotFound)?))?.as_raw_nonzero().get();
    if !locked(&shared.memory).groups.contains(&group) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let hint = part(&mut stream).await?;
    let words = part(&mut stream).await?;
    let given = !locked(&shared.memory).given.insert((group, words.clone()));
    let memorable = is_memorable(&words);
    let answer = match known(shared, &words, given) {
        Some(answer) => Some(answer),
        None => ask(&mut stream, shared, &hint, &words, given).await,
    };
    let Some(answer) = answer else { return stream.write_u8(0).await };
    if memorable {
        locked(&shared.memory).known.insert(words, answer.clone());
    }
    stream.write_u8(1).await?;
    stream.write_all(answer.reveal().as_bytes()).await
}

/// What was answered before, unless this ssh has just found it wrong.
fn known(shared: &Shared, words: &str, given: bool) -> Option<Secret> {
    let mut memory = locked(&shared.memory);
    if given {
        memory.known.remove(words);
    }
    memory.known.get(words).cloned()
}

/// Whether every further connection needs the same answer: not so for codes that count once.
fn is_memorable(words: &str) -> bool {
    words.contains("passphrase for key") || words.trim_end().ends_with("'s password:")
}

/// Asks, and waits for the answer or for the asker's end.
async fn ask(stream: &mut UnixStream, shared: &Shared, hint: &str, words: &str, again: bool) -> Option<Secret> {
    let id = shared.next.fetch_add(1, Ordering::Relaxed);
    let text = words.trim().lines().map(|line| printable(line.trim_end()).into_owned()).collect();
    let (answer, answered) = oneshot::channel();
    locked(&shared.memory).open.insert(id, answer);
    shared.waiting.send_modify(|count| *count += 1);
    let question = Question { id, kind: Kind::of(hint, words), text, again };
    let _ = shared.events.send(Event::Asked(question));
    let outcome = tokio::select! {
        answer = answered => answer.ok().flatten(),
        // It says nothing more; this is its end.
        _ = stream.read_u8() => {
            locked(&shared.memory).open.remove(&id);
            let _ = shared.events.send(Event::Withdrawn(id));
            None
        }
    };
    shared.waiting.send_modify(|count| *count -= 1);
    outcome
}

async fn part(stream: &mut UnixStream) -> io::Result<String> {
    let length = usize::from(stream.read_u16().await?).min(LONGEST);
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The other end, in the walpilot that ssh has started: hands the question over and returns the answer. Blocks.
///
/// # Errors
/// When nobody listens any more, or the answer is no.
pub fn carry(socket: &Path, hint: &str, words: &str) -> io::Result<Secret> {
    use std::io::{Read, Write};

    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    for part in [hint, words] {
        let bytes = &part.as_bytes()[..part.len().min(LONGEST)];
        stream.write_all(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes())?;
        stream.write_all(bytes)?;
    }
    let mut yes = [0];
    stream.read_exact(&mut yes)?;
    if yes[0] == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // As large as it can become, so that growing leaves no copy behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(LONGEST));
    stream.take(LONGEST as u64).read_to_end(&mut answer)?;
    std::str::from_utf8(&answer).map(Secret::new).map_err(io::Error::other)
}

/// Does `work` within `limit`; the time in which somebody is asked does not count.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let Some(Way { shared, .. }) = way() else { return tokio::time::timeout(limit, work).await.ok() };
    let mut waiting = shared.waiting.subscribe();
    let mut work = pin!(work);
    let mut deadline = Instant::now() + limit;
    loop {
        let asked_since = (*waiting.borrow_and_update() > 0).then(Instant::now);
        tokio::select! {
            done = &mut work => return Some(done),
            () = tokio::time::sleep_until(deadline), if asked_since.is_none() => return None,
            Ok(()) = waiting.changed() => {}
        }
        if let Some(since) = asked_since {
            deadline += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use rustix::process::getpgid;

    use super::{Desk, Event, Kind, carry, is_memorable, way};
    use crate::connection::Secret;

    /// As the program that ssh starts, but in the process of the test.
    async fn asks(socket: &Path, words: &'static str) -> io::Result<Secret> {
        let socket = socket.to_owned();
        tokio::task::spawn_blocking(move || carry(&socket, "", words)).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn strangers_get_no_question_through() {
        const WORDS: &str = "Enter passphrase for key '/k': ";
        let (desk, mut heard) = Desk::open().unwrap();
        let socket = way().unwrap().socket;
        assert!(asks(&socket, WORDS).await.is_err(), "no ssh of ours has this group");
        assert!(heard.try_recv().is_err(), "nobody was bothered");

        let admitted = way().unwrap().admit(getpgid(None).unwrap());
        let asking = tokio::spawn({
            let socket = socket.clone();
            async move { asks(&socket, WORDS).await }
        });
        let Some(Event::Asked(question)) = heard.recv().await else { panic!("no question") };
        assert_eq!((question.kind, question.again), (Kind::Secret, false));
        desk.answer(question.id, Some(Secret::new("S3NT1NEL")));
        assert_eq!(asking.await.unwrap().unwrap().reveal(), "S3NT1NEL");

        // The same ssh asks again: it was wrong, and no is an answer too.
        let asking = tokio::spawn({
            let socket = socket.clone();
            async move { asks(&socket, WORDS).await }
        });
        let Some(Event::Asked(question)) = heard.recv().await else { panic!("no question") };
        assert!(question.again);
        desk.answer(question.id, Some(Secret::new("right")));
        assert!(asking.await.unwrap().is_ok());
        drop(admitted);

        // The next ssh gets what was right without a question.
        let _admitted = way().unwrap().admit(getpgid(None).unwrap());
        assert_eq!(asks(&socket, WORDS).await.unwrap().reveal(), "right");
        assert!(heard.try_recv().is_err());

        // Whoever goes away takes the question back.
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        io::Write::write_all(&mut stream, &[0, 0, 0, 1, b'?']).unwrap();
        let Some(Event::Asked(question)) = heard.recv().await else { panic!("no question") };
        drop(stream);
        assert_eq!(heard.recv().await, Some(Event::Withdrawn(question.id)));
        drop(desk);
        assert!(way().is_none() && asks(&socket, WORDS).await.is_err());
    }

    #[test]
    fn questions_are_told_apart() {
        for (hint, text, kind) in [
            (
                "",
                "The authenticity of host 'b (10.0.0.1)' can't be established.\nAre you sure you want to continue connecting (yes/no/[fingerprint])? ",
                Kind::HostKey,
            ),
            ("", "Please type 'yes', 'no' or the fingerprint: ", Kind::HostKey),
            ("", "Enter passphrase for key '/home/me/.ssh/id_ed25519': ", Kind::Secret),
            ("", "me@bastion's password: ", Kind::Secret),
            ("confirm", "Allow use of key x?", Kind::Confirm),
            ("none", "Confirm user presence for key ED25519-SK", Kind::Notice),
        ] {
            assert_eq!(Kind::of(hint, text), kind, "{text}");
        }
        assert!(is_memorable("Enter passphrase for key 'x': ") && is_memorable("me@b's password: "));
        assert!(!is_memorable("Verification code: "));
    }
}
