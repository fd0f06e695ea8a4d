SELECT json_build_object(
 'version', current_setting('server_version_num')::int,
 'started', extract(epoch from pg_postmaster_start_time()),
 'in_recovery', pg_is_in_recovery(),
 'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
 -- The control file's timeline lags behind after a promotion; the name of the current WAL file does not.
 'timeline', CASE WHEN pg_is_in_recovery() THEN to_hex((SELECT timeline_id FROM pg_control_checkpoint()))
                  ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
 'database', current_database(),
 'role', current_user,
 'superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
 'replication', (SELECT rolreplication FROM pg_roles WHERE rolname = current_user),
 'read_all_stats', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
 'monitor', pg_has_role(current_user, 'pg_monitor', 'USAGE'),
 'wal_files', has_function_privilege('pg_ls_waldir()', 'EXECUTE'),
 'archive_files', has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE'),
 'slot_files', coalesce(has_function_privilege(to_regprocedure('pg_ls_replslotdir(text)')::oid, 'EXECUTE'), false),
 'settings', (SELECT json_object_agg(name, json_build_object('value', setting, 'unit', unit))
              FROM pg_settings WHERE name = ANY (ARRAY[
   'wal_level','max_wal_senders','max_replication_slots','max_slot_wal_keep_size','wal_keep_size','max_wal_size',
   'wal_segment_size','wal_sender_timeout','logical_decoding_work_mem','checkpoint_timeout','archive_mode',
   'track_counts','hot_standby_feedback','synchronized_standby_slots','idle_replication_slot_timeout',
   'autovacuum_freeze_max_age','min_wal_size','sync_replication_slots','track_activities','track_commit_timestamp',
   'max_prepared_transactions','block_size']))
)::text
