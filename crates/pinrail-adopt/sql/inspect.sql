-- Everything that decides whether and how a table can be adopted, as one JSON object; no row when there is no such relation.
WITH RECURSIVE relation AS (
    SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)
), grants AS (
    SELECT a.attnum, CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END AS grantee, a.privilege_type, a.is_grantable
    FROM (
        SELECT 0::smallint AS attnum, x.* FROM relation c, aclexplode(c.relacl) x
        UNION ALL
        SELECT t.attnum, x.* FROM relation c JOIN pg_attribute t ON t.attrelid = c.oid AND NOT t.attisdropped, aclexplode(t.attacl) x
    ) a
), keyed AS (
    SELECT i.*, x.relname, k.contype, k.condeferrable, k.conname,
        array(SELECT i.indkey[n] FROM generate_series(0, i.indnkeyatts - 1) n) AS keys
    FROM relation c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
), used AS (
    -- What is worked out when a row is written or the table analyzed, and all that this uses. `computes`: by an expression,
    -- so that a type's conditions are tried then; those of a plain column were tried when the application gave the value.
    SELECT r.classid, r.objid, r.computes FROM (
        SELECT 'pg_class'::regclass::oid AS classid, c.oid AS objid, false AS computes FROM relation c
        UNION ALL
        SELECT 'pg_class'::regclass, k.indexrelid, true FROM keyed k
        UNION ALL
        SELECT 'pg_constraint'::regclass, k.oid, true FROM relation c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'c'
        UNION ALL
        SELECT 'pg_attrdef'::regclass, d.oid, true FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attgenerated <> ''
            JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        UNION ALL
        SELECT 'pg_statistic_ext'::regclass, x.oid, true FROM relation c JOIN pg_statistic_ext x ON x.stxrelid = c.oid
    ) r
    UNION
    SELECT n.classid, n.objid, u.computes FROM used u, LATERAL (
        SELECT p.refclassid AS classid, p.refobjid AS objid FROM pg_depend p WHERE p.classid = u.classid AND p.objid = u.objid
            AND p.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_type'::regclass)
        UNION ALL
        SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE u.classid = 'pg_type'::regclass AND k.contypid = u.objid
        UNION ALL
        SELECT 'pg_class'::regclass, y.typrelid FROM pg_type y WHERE u.classid = 'pg_type'::regclass AND y.oid = u.objid AND y.typrelid <> 0
    ) n
)
SELECT json_build_object(
    'schema', c.nspname,
    'name', c.relname,
    'owner', pg_get_userbyid(c.relowner),
    'kind', c.relkind,
    'persistence', c.relpersistence,
    'row_security', c.relrowsecurity,
    'typed', c.reloftype <> 0,
    'partition', c.relispartition,
    'inherits', EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)),
    'rows', greatest(c.reltuples, 0)::bigint,
    'grants_default', c.relacl IS NULL,
    'grants', coalesce((SELECT json_agg(json_build_object('grantee', g.grantee, 'privilege', g.privilege_type, 'grantable', g.is_grantable)
        ORDER BY g.grantee NULLS FIRST, g.privilege_type) FROM grants g WHERE g.attnum = 0), '[]'),
    'columns', coalesce((SELECT json_agg(json_build_object(
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull,
            'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
            'generated', a.attgenerated <> '',
            'identity', a.attidentity <> '',
            'vector', (SELECT t.typname = 'vector' FROM pg_type t WHERE t.oid = a.atttypid),
            'sequence', (SELECT json_build_object('schema', sn.nspname, 'name', s.relname, 'serial', p.deptype = 'a', 'grants', coalesce((
                    SELECT json_agg(json_build_object('grantee', CASE x.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(x.grantee) END,
                        'privilege', x.privilege_type, 'grantable', x.is_grantable) ORDER BY x.grantee, x.privilege_type)
                    FROM aclexplode(s.relacl) x WHERE x.grantee <> s.relowner), '[]'))
                FROM pg_depend p JOIN pg_class s ON s.oid = p.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
                WHERE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid
                  AND p.refobjsubid = a.attnum AND p.deptype IN ('a', 'i') LIMIT 1),
            'grants', coalesce((SELECT json_agg(json_build_object('grantee', g.grantee, 'privilege', g.privilege_type, 'grantable', g.is_grantable)
                ORDER BY g.grantee NULLS FIRST, g.privilege_type) FROM grants g WHERE g.attnum = a.attnum), '[]')
        ) ORDER BY a.attnum)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
    'unique', coalesce((SELECT json_agg(json_build_object(
            'name', k.relname,
            'primary', k.indisprimary,
            'deferrable', coalesce(k.condeferrable, false),
            'partial', k.indpred IS NOT NULL,
            'expression', 0 = ANY (k.keys),
            'nulls_equal', coalesce((to_jsonb(k) ->> 'indnullsnotdistinct')::boolean, false),
            'columns', coalesce((SELECT json_agg(json_build_object(
                    'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'equal_schema', en.nspname, 'equal', e.oprname,
                    'base', CASE WHEN y.typtype = 'd' AND en.nspname <> 'pg_catalog' THEN json_build_object('schema', bn.nspname, 'name', b.typname) END)
                    ORDER BY n.n)
                FROM unnest(k.keys) WITH ORDINALITY n(attnum, n)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = n.attnum
                JOIN pg_opclass o ON o.oid = k.indclass[n.n - 1]
                JOIN pg_amop m ON m.amopfamily = o.opcfamily AND m.amoplefttype = o.opcintype AND m.amoprighttype = o.opcintype AND m.amopstrategy = 3
                JOIN pg_operator e ON e.oid = m.amopopr JOIN pg_namespace en ON en.oid = e.oprnamespace
                JOIN pg_type y ON y.oid = a.atttypid JOIN pg_type b ON b.oid = o.opcintype JOIN pg_namespace bn ON bn.oid = b.typnamespace), '[]')
        ) ORDER BY k.indisprimary DESC, k.relname) FROM keyed k WHERE k.indisunique), '[]'),
    'indexes', coalesce((SELECT json_agg(json_build_object('name', k.relname, 'definition', pg_get_indexdef(k.indexrelid), 'valid', k.indisvalid)
        ORDER BY k.relname) FROM keyed k), '[]'),
    'exclusions', coalesce((SELECT json_agg(k.conname ORDER BY k.conname) FROM keyed k WHERE k.contype = 'x'), '[]'),
    'constraints', coalesce((SELECT json_agg(json_build_object('name', k.conname, 'kind', k.contype, 'definition', pg_get_constraintdef(k.oid))
        ORDER BY k.conname) FROM pg_constraint k WHERE k.conrelid = c.oid), '[]'),
    'actions', coalesce((SELECT json_agg(json_build_object('constraint', f.conname, 'action', f.action, 'key', f.key) ORDER BY f.conname, f.action, f.key)
        FROM (
            SELECT f.conname, 'ON UPDATE ' || CASE f.confupdtype WHEN 'c' THEN 'CASCADE' ELSE 'SET NULL' END AS action, k.relname AS key
                FROM pg_constraint f JOIN keyed k ON k.indisunique AND k.keys && f.conkey
                WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confupdtype IN ('c', 'n')
            UNION ALL
            SELECT f.conname, 'ON UPDATE SET DEFAULT', NULL FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confupdtype = 'd'
            UNION ALL
            SELECT f.conname, 'ON DELETE SET DEFAULT', NULL FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confdeltype = 'd'
        ) f), '[]'),
    'code', coalesce((SELECT json_agg(DISTINCT jsonb_build_object('kind', o.kind, 'what', o.what, 'owner', pg_get_userbyid(o.owner)))
        FROM (
            SELECT 'FUNCTION' AS kind, f.oid::regprocedure::text AS what, f.proowner AS owner FROM used u JOIN pg_proc f ON u.classid = 'pg_proc'::regclass AND f.oid = u.objid
            UNION ALL
            SELECT CASE y.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, y.oid::regtype::text, y.typowner FROM used u JOIN pg_type y ON u.classid = 'pg_type'::regclass AND y.oid = u.objid
                WHERE u.computes AND y.typtype IN ('d', 'c') AND y.typrelid <> c.oid
        ) o WHERE NOT pg_has_role(o.owner, current_user, 'MEMBER')), '[]'),
    'referenced_by', coalesce((SELECT json_agg(format('%s (%I)', k.conrelid::regclass, k.conname) ORDER BY k.oid)
        FROM pg_constraint k WHERE k.confrelid = c.oid AND k.contype = 'f'), '[]'),
    'triggers', coalesce((SELECT json_agg(t.tgname ORDER BY t.tgname) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), '[]'),
    'rules', coalesce((SELECT json_agg(r.rulename ORDER BY r.rulename) FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'), '[]'),
    'dependants', coalesce((SELECT json_agg(DISTINCT told.what) FROM (
            SELECT pg_describe_object('pg_class'::regclass, r.ev_class, 0) AS what FROM pg_depend p JOIN pg_rewrite r ON r.oid = p.objid
                WHERE p.classid = 'pg_rewrite'::regclass AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid AND r.ev_class <> c.oid
            UNION ALL
            SELECT pg_describe_object(p.classid, p.objid, p.objsubid) FROM pg_depend p
                WHERE p.classid IN ('pg_proc'::regclass, 'pg_policy'::regclass) AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid
            UNION ALL
            SELECT pg_describe_object(p.classid, p.objid, p.objsubid) FROM pg_depend p
                JOIN pg_type y ON y.oid IN (c.reltype, (SELECT typarray FROM pg_type WHERE oid = c.reltype)) AND p.refobjid = y.oid
                WHERE p.refclassid = 'pg_type'::regclass AND p.deptype = 'n' AND NOT (p.classid = 'pg_type'::regclass AND p.objid = y.typarray)
        ) told), '[]'),
    'publications', coalesce((SELECT json_agg(p.pubname ORDER BY p.pubname) FROM pg_publication_rel x JOIN pg_publication p ON p.oid = x.prpubid WHERE x.prrelid = c.oid), '[]'),
    'extension', EXISTS (SELECT FROM pg_depend p WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid AND p.deptype = 'e')
)::text
FROM relation c
