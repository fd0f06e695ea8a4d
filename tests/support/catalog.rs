//! All that a setup may change, as a text to compare before and after.

use walpilot::connection::Settings;
use walpilot::demo::Cluster;

use super::{psql, psql_program};

/// The newest server that the installed pg_dump can read.
const DUMPED: u32 = 15;

/// What an administrator would see of the catalog: the dump where pg_dump can make one, and in any case the parts of it
/// that a setup touches, slots included. Privileges are spelt out, because those that were never changed stand as NULL.
pub fn catalog(cluster: &Cluster, admin: &Settings) -> String {
    let mut text = touched(admin);
    if cluster.major() <= DUMPED {
        for program in [&["pg_dump", "--schema-only"][..], &["pg_dumpall", "--globals-only"]] {
            let output =
                psql_program(admin, program[0]).args(&program[1..]).output().expect("it is installed with psql");
            assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
            // Newer minor releases write a random key for psql's restricted mode.
            let dump = String::from_utf8_lossy(&output.stdout).into_owned();
            text.extend(dump.lines().filter(|line| !line.contains("restrict")).map(|line| format!("{line}\n")));
        }
    }
    text
}

fn touched(admin: &Settings) -> String {
    let acl = |column: &str, kind: &str, owner: &str| {
        format!(
            "(SELECT string_agg(a.grantee::regrole || ' ' || a.privilege_type, ', ' ORDER BY a.grantee, a.privilege_type)
              FROM aclexplode(coalesce({column}, acldefault('{kind}', {owner}))) a)"
        )
    };
    psql(
        admin,
        &format!(
            "SELECT 'role', rolname::text, (to_jsonb(r) - 'oid' - 'rolpassword')::text FROM pg_roles r WHERE rolname !~ '^pg_'
             UNION ALL SELECT 'member', roleid::regrole::text, member::regrole::text FROM pg_auth_members
             UNION ALL SELECT 'comment', classoid::regclass::text, description FROM pg_shdescription
               WHERE classoid = 'pg_authid'::regclass
             UNION ALL SELECT 'publication', pubname, coalesce(obj_description(oid), '') FROM pg_publication
             UNION ALL SELECT 'published', p.pubname, r.prrelid::regclass::text FROM pg_publication_rel r
               JOIN pg_publication p ON p.oid = r.prpubid
             UNION ALL SELECT 'slot', slot_name, '' FROM pg_replication_slots
             UNION ALL SELECT 'schema', nspname, {} FROM pg_namespace WHERE nspname !~ '^pg_t'
             UNION ALL SELECT 'table', oid::regclass::text, relreplident::text || {} FROM pg_class
               WHERE relkind IN ('r', 'p') AND oid >= 16384
             UNION ALL SELECT 'identity index', indexrelid::regclass::text, '' FROM pg_index WHERE indisreplident
             UNION ALL SELECT 'policy', polname, '' FROM pg_policy
             UNION ALL SELECT 'default', defaclnamespace::regnamespace::text, defaclacl::text FROM pg_default_acl
             UNION ALL SELECT 'database', datname, {} FROM pg_database ORDER BY 1, 2, 3",
            acl("nspacl", "n", "nspowner"),
            acl("relacl", "r", "relowner"),
            acl("datacl", "d", "datdba")
        ),
    )
}
