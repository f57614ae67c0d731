-- What retention has thinned or forgotten since cannot be given back exactly. Marked where an import's run lies in such a stretch, so that the
-- import is not taken back by what looks like its runs.
alter table import_runs add column is_reduced boolean not null default false;
