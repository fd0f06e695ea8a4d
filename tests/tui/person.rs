//! A person at the keyboard of a wizard that has no terminal: presses keys, reads what is drawn, and tells what the
//! tasks answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use walpilot::catalog::gather::TableChoice;
use walpilot::connection::inputs::{Given, Surroundings, resolve};
use walpilot::connection::stream::PasswordRequest;
use walpilot::connection::{Secret, Security, Settings};
use walpilot::preflight::{Finding, Fix, FixKind, Report, Severity, Status, Verdict};
use walpilot::profile::{Profile, TableName};
use walpilot::setup::{Person as PlanPerson, Plan, Step as PlanStep};
use walpilot::tui::app::job::{Job, Ticket};
use walpilot::tui::app::message::{Answer, Effect, Message, Now, Planned, Tested, Work};
use walpilot::tui::app::{App, Prefill, update};
use walpilot::tui::view::{self, Theme};

pub(crate) const PASSWORD: &str = "S3NT1NEL";

pub(crate) struct Person {
    pub(crate) app: App,
    pub(crate) effects: Vec<Effect>,
    now: Now,
}

impl Person {
    #[expect(clippy::disallowed_methods, reason = "a test has to begin at some moment")]
    pub(crate) fn at(prefill: Prefill) -> Self {
        let now = Now { monotonic: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) };
        Self { app: App::new(prefill, now), effects: Vec::new(), now }
    }

    /// As the demo opens the wizard.
    pub(crate) fn in_the_demo() -> Self {
        let source =
            Settings { user: "shop_repl".into(), password: Some(Secret::new(PASSWORD)), ..Settings::default() };
        let admin = source.as_user("postgres", Some(Secret::new(PASSWORD)));
        let destination = Settings { port: 5433, ..source.clone() };
        let profile = Some(Profile::new(source));
        Self::at(Prefill { profile, admin: Some(admin), destination: Some(destination), ..Prefill::default() })
    }

    fn hears(&mut self, message: Message) {
        let effects = update(&mut self.app, message, self.now);
        let asked = effects.iter().find_map(|effect| match effect {
            Effect::Start(ticket, work) => match work.as_ref() {
                Work::Resolve(text, _) => Some((*ticket, resolved(text.reveal()))),
                _ => None,
            },
            _ => None,
        });
        self.effects.extend(effects);
        if let Some((ticket, answer)) = asked {
            self.hears(Message::Task(ticket, answer));
        }
    }

    /// Presses keys: letters as they are, others as `<Tab>`, `<C-r>`, `<A-z>`.
    pub(crate) fn types(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let (key, length) = match rest.strip_prefix('<').and_then(|named| named.split_once('>')) {
                Some((name, _)) => (named_key(name), name.len() + 2),
                None => (KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE), c.len_utf8()),
            };
            self.hears(Message::Key(key));
            rest = &rest[length..];
        }
        self
    }

    pub(crate) fn pastes(&mut self, text: &str) -> &mut Self {
        self.hears(Message::Paste(Secret::new(text)));
        self
    }

    pub(crate) fn waits(&mut self, time: Duration) -> &mut Self {
        self.now.monotonic += time;
        self.now.wall += time;
        self.hears(Message::Tick);
        self
    }

    pub(crate) fn has_a_terminal_of(&mut self, columns: u16, rows: u16) -> &mut Self {
        self.hears(Message::Resized(columns, rows));
        self
    }

    pub(crate) fn is_told_to_end(&mut self) -> &mut Self {
        self.hears(Message::Terminate);
        self
    }

    /// The latest start of a job that was asked for.
    pub(crate) fn ticket(&self, job: Job) -> Ticket {
        self.started(job).unwrap_or_else(|| panic!("{job:?} was not started: {:?}", self.effects)).0
    }

    pub(crate) fn started(&self, job: Job) -> Option<(Ticket, &Work)> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Start(ticket, work) if ticket.job == job => Some((*ticket, work.as_ref())),
            _ => None,
        })
    }

    /// The task of the latest start answers.
    pub(crate) fn learns(&mut self, job: Job, answer: Answer) -> &mut Self {
        let ticket = self.ticket(job);
        self.learns_from(ticket, answer)
    }

    pub(crate) fn learns_from(&mut self, ticket: Ticket, answer: Answer) -> &mut Self {
        self.hears(Message::Task(ticket, answer));
        self
    }

    pub(crate) fn buffer(&self, theme: Theme, columns: u16, rows: u16) -> Buffer {
        let area = Rect::new(0, 0, columns, rows);
        let mut buffer = Buffer::empty(area);
        view::draw(&self.app, theme, area, &mut buffer);
        buffer
    }

    /// What is on the screen, without colours.
    pub(crate) fn sees_at(&mut self, theme: Theme, columns: u16, rows: u16) -> String {
        self.has_a_terminal_of(columns, rows);
        text_of(&self.buffer(theme, columns, rows))
    }

    pub(crate) fn sees(&mut self) -> String {
        self.sees_at(Theme::default(), 80, 24)
    }

    /// Through the steps up to (and not including) the preflight's answer.
    pub(crate) fn reaches_the_preflight(&mut self) -> &mut Self {
        self.types("<Enter>").learns(Job::TestSource, tested()).types("<Enter><Enter>");
        self.learns(Job::ListTables, Answer::Tables(Ok(tables()))).types("<Enter>")
    }

    pub(crate) fn reaches_the_script(&mut self) -> &mut Self {
        self.reaches_the_preflight().learns(Job::Preflight, Answer::Checked(Ok(Box::new(report())))).types("<Enter>")
    }

    pub(crate) fn reaches_the_destination(&mut self) -> &mut Self {
        self.reaches_the_script();
        self.learns(Job::Plan, Answer::Planned(Ok(Box::new(Planned { plan: Plan::default(), script: String::new() }))));
        self.types("<Enter>")
    }

    pub(crate) fn reaches_the_dashboard(&mut self) -> &mut Self {
        self.reaches_the_destination().types("<Enter>").learns(Job::TestDestination, tested()).types("<Enter>")
    }
}

fn named_key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.split_once('-') {
        Some(("C", rest)) => (KeyModifiers::CONTROL, rest),
        Some(("A", rest)) => (KeyModifiers::ALT, rest),
        _ => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Tab" => KeyCode::Tab,
        "BackTab" => KeyCode::BackTab,
        "Esc" => KeyCode::Esc,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "PgUp" => KeyCode::PageUp,
        "PgDn" => KeyCode::PageDown,
        "F1" => KeyCode::F(1),
        "F5" => KeyCode::F(5),
        "Space" => KeyCode::Char(' '),
        one if one.chars().count() == 1 => KeyCode::Char(one.chars().next().expect("one")),
        other => panic!("no key is called {other}"),
    };
    KeyEvent::new(code, modifiers)
}

pub(crate) fn text_of(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in 0..area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // The cells behind a wide character hold nothing of their own.
            x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol)).expect("narrow").max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What the task would answer on a machine with PGUSER and nothing else.
fn resolved(text: &str) -> Answer {
    let given = Given { text: Some(text.to_owned().into()), ..Given::default() };
    let around = Surroundings {
        variables: &BTreeMap::from([("PGUSER".to_owned(), "by_variable".to_owned().into())]),
        home: None,
        account: Some("account"),
        read: &|_| Err(std::io::ErrorKind::NotFound.into()),
        exists: &|_| false,
    };
    Answer::Resolved(resolve(&given, &around).map(Box::new).map_err(|error| error.to_string()))
}

pub(crate) fn tested() -> Answer {
    let security = Security { encrypted: true, password: PasswordRequest::Scram, ..Security::default() };
    Answer::Tested(Ok(Tested { version: "15.6".into(), security, in_recovery: false, may_create: true }))
}

pub(crate) fn tables() -> Vec<TableChoice> {
    let choice = |schema: &str, name: &str, rows, bytes, partitioned| TableChoice {
        table: TableName::new(schema, name),
        rows,
        bytes,
        partitioned,
    };
    vec![
        choice("audit", "log", Some(1_200_000), 410_000_000, false),
        choice("shop", "customers", Some(12_000), 2_400_000, false),
        choice("shop", "order_lines", Some(90_000), 17_000_000, false),
        choice("shop", "orders", None, 8192, true),
        choice("shop", "注文明細", Some(7), 16_384, false),
    ]
}

fn finding(id: &'static str, status: Status, severity: Severity, summary: &str) -> Finding {
    Finding {
        id,
        status,
        severity,
        summary: summary.into(),
        why: "A subscriber logs in through the walsender, and only such a role may start one.".into(),
        evidence: BTreeMap::from([("rolreplication".to_owned(), serde_json::json!(false))]),
        objects: vec!["shop_repl".into()],
        object_count: 1,
        fixes: vec![Fix {
            kind: FixKind::Sql,
            text: "ALTER ROLE \"shop_repl\" REPLICATION".into(),
            who: "superuser".into(),
            lock: None,
            restart: false,
        }],
        doc: "PostgreSQL documentation, \"Role Attributes\"",
    }
}

pub(crate) fn report() -> Report {
    Report {
        version: 1,
        source: serde_json::Value::Null,
        profile: serde_json::Value::Null,
        verdict: Verdict::Blocked,
        findings: vec![
            finding("role.replication", Status::Fail, Severity::Blocker, "The role shop_repl may not replicate."),
            finding("table.identity", Status::Warn, Severity::Warning, "shop.events has no primary key."),
            finding("slots.others", Status::Unseen, Severity::Warning, "Other slots can't be seen."),
            finding("server.wal_level", Status::Pass, Severity::Blocker, "wal_level is logical."),
            finding("slot.plugin", Status::Skipped, Severity::Blocker, "There is no slot yet."),
        ],
    }
}

pub(crate) fn planned() -> Planned {
    let step = |title: &str, sql: &str, lock: Option<&str>| PlanStep {
        lock: lock.map(str::to_owned),
        ..PlanStep::new(PlanPerson::Administrator, title, "It is missing.", sql.into(), "superuser")
    };
    let steps = vec![
        step("Let shop_repl replicate", "ALTER ROLE \"shop_repl\" REPLICATION", None),
        step(
            "Identity of shop.events",
            "ALTER TABLE \"shop\".\"events\" REPLICA IDENTITY FULL",
            Some("SHARE ROW EXCLUSIVE"),
        ),
        step("Create the publication", "CREATE PUBLICATION \"walpilot_publication\" FOR ALL TABLES", None),
    ];
    let mut script = String::from("-- walpilot: setup of postgres@localhost:5432/postgres\n\n");
    for (at, step) in steps.iter().enumerate() {
        script.push_str(&format!("-- {}. {}\n{};\n\n", at + 1, step.title, step.sql));
    }
    Planned { plan: Plan { steps, by_hand: Vec::new() }, script }
}
