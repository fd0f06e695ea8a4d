//! Any name that a server accepts survives quoting: what walpilot writes is what the server reads.

use crate::setting_up::{look, planned};
use crate::support::catalog::catalog;
use crate::support::{prepare, psql, psql_script, session, source};
use walpilot::catalog::ident::{quote_ident, quote_literal};
use walpilot::connection::Secret;
use walpilot::profile::{Profile, Selection};
use walpilot::setup::script::{render, render_undo};
use walpilot::setup::undo::undo;
use walpilot::setup::{Password, Wishes, offline};

/// A reproducible sequence of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit as u64)).expect("below the limit")
    }

    /// 1 to 63 bytes of letters that break careless quoting, and of any others.
    fn name(&mut self) -> String {
        const HARD: [char; 20] = [
            '"', '\'', '\\', ';', '-', '$', ' ', '\n', '\r', '\t', '\u{1b}', '\u{7f}', '\u{202e}', '\u{200b}', 'U',
            '&', '+', '🧾', 'É', '.',
        ];
        let mut name = String::new();
        for _ in 0..=self.below(40) {
            let c = if self.below(3) == 0 {
                char::from_u32(u32::try_from(1 + self.below(0x0010_ffff)).expect("a code point")).unwrap_or('x')
            } else {
                HARD[self.below(HARD.len())]
            };
            if name.len() + c.len_utf8() <= 63 {
                name.push(c);
            }
        }
        if name.is_empty() { "x".to_owned() } else { name }
    }
}

#[tokio::test]
async fn any_legal_identifier_survives_quoting() {
    let cluster = source().await;
    let session = session(&cluster.settings()).await;
    let mut numbers = Numbers(0x5eed_5eed_5eed_5eed);
    for _ in 0..400 {
        let name = numbers.name();
        let (ident, literal) = (quote_ident(&name), quote_literal(&name));
        for written in [&ident, &literal] {
            assert!(!written.chars().any(char::is_control), "{written:?}");
        }
        let sql = format!("SELECT x.{ident}, {literal} FROM (SELECT 1) x({ident})");
        let statement = session.client.prepare(&sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
        assert_eq!(statement.columns()[0].name(), name, "{ident}");
        let row = session.client.query_one(&statement, &[]).await.expect("a row");
        assert_eq!(row.get::<_, String>(1), name, "{literal}");
    }
}

#[tokio::test]
async fn scripts_run_and_stay_readable_whatever_the_names_are() {
    let cluster = source().await;
    let admin = cluster.settings();
    let mut numbers = Numbers(0x00c0_ffee);
    for round in 0..4 {
        let (schema, role, publication) = (numbers.name(), numbers.name(), numbers.name());
        let tables: Vec<String> = (0..8).map(|_| numbers.name()).collect();
        let quoted = quote_ident(&schema);
        let mut sql = format!("CREATE SCHEMA {quoted}");
        for (at, table) in tables.iter().enumerate() {
            let key = if at % 2 == 0 { "" } else { " PRIMARY KEY" };
            sql.push_str(&format!(
                "; CREATE TABLE {quoted}.{}({} int{key})",
                quote_ident(table),
                quote_ident(&numbers.name())
            ));
        }
        prepare(&admin, &sql);
        let before = catalog(&cluster, &admin);
        let profile = Profile {
            selection: Selection::Schemas(vec![schema]),
            publication,
            ..Profile::new(admin.as_user(role, Some(Secret::new("S3NT1NEL"))))
        };
        let (facts, _) = look(&admin, &profile).await;
        let wishes = Wishes { password: Password::of(profile.source.password.as_ref()), ..Wishes::default() };
        let plan = if round % 2 == 0 { planned(&facts, &profile) } else { offline::plan(&profile, &wishes) };
        let text = render(&plan, &profile);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
        assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication_tables"), "8");
        let (facts, _) = look(&admin, &profile).await;
        let text = render_undo(&undo(&facts, &profile), &profile);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
        assert_eq!(catalog(&cluster, &admin), before);
    }
}
