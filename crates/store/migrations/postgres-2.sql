-- Format 2 of the PostgreSQL store: what somebody may see is found by tenant and owner, names are unique per owner,
-- tenants are counted, and decisions are recorded.

DROP INDEX applications_by_held_name;
CREATE UNIQUE INDEX applications_by_held_name ON applications (held_name, kind, owner_tenant, owner_user)
    WHERE held_name IS NOT NULL;
DROP INDEX applications_by_owner_and_id;
CREATE INDEX applications_by_tenant ON applications (owner_tenant, accepted_at, id);
CREATE INDEX applications_by_member ON applications (owner_tenant, owner_user, accepted_at, id);
CREATE INDEX applications_by_tenant_and_id ON applications (owner_tenant, id);
CREATE INDEX applications_by_member_and_id ON applications (owner_tenant, owner_user, id);

-- A tally of numbers is called SIZE:KIND, SIZE:KIND:TENANT or SIZE:KIND:TENANT:USER; format 1 had SIZE:KIND:USER.
DELETE FROM tallies WHERE scope LIKE '%:%:%';
INSERT INTO tallies (scope, block, count)
SELECT CAST(s.size AS TEXT) || ':' || k.name || ':' || a.owner_tenant, (a.id & 4294967295) / s.size, count(*)
FROM applications a
JOIN (SELECT 0 AS kind, 'batch' AS name UNION ALL SELECT 1, 'server') k ON k.kind = a.kind
CROSS JOIN (SELECT 1024 AS size UNION ALL SELECT 32768) s
GROUP BY 1, 2;
INSERT INTO tallies (scope, block, count)
SELECT CAST(s.size AS TEXT) || ':' || k.name || ':' || a.owner_tenant || ':' || a.owner_user,
    (a.id & 4294967295) / s.size, count(*)
FROM applications a
JOIN (SELECT 0 AS kind, 'batch' AS name UNION ALL SELECT 1, 'server') k ON k.kind = a.kind
CROSS JOIN (SELECT 1024 AS size UNION ALL SELECT 32768) s
GROUP BY 1, 2;
INSERT INTO tallies (scope, block, count)
SELECT 'open:' || owner_tenant, 0, count(*)
FROM applications WHERE state IN ('accepted', 'starting', 'running', 'stopping') GROUP BY 1;

CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    user_name TEXT,
    tenant TEXT,
    decision TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX audit_by_user ON audit (user_name, id);
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX audit_by_decision ON audit (decision, id);
INSERT INTO counters (name, value) VALUES ('audit', 0);
