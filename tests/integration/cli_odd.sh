#!/usr/bin/env bash
# What commands do with odd names and odd surroundings: commands of terminals in texts, standard streams that are
# closed, folders that are not what they should be, times that are over at once.
. "$(dirname "$0")/lib.sh"
export TRIAD_STATE=$work/state
odd=$work/odd.yaml
sed 's/experiment: tiny/experiment: odd/; s/max_sequences: 24/max_sequences: 25/' "$manifest" >"$odd"
# steers FILE: does it hold an escape, or U+009B, which is ESC [ in one character?
steers() { LC_ALL=C grep -q -e $'\033' -e $'\xc2\x9b' "$1"; }

note "a person's reason steers no terminal"
triad run "$manifest" >/dev/null 2>"$work/run.log"
start_coordinator "$TRIAD_STATE"
expect_status 0 triad submit "$odd"
expect_status 0 triad job cancel --experiment odd --reason $'a\033[31mred\xc2\x9b31m'
label=toy/PT/urn_icl
job=$(triad job list --experiment odd --jobs-state cancelled --output csv | grep "$label" | cut -c1-12)
for command in "job list" "job show $job" "job explain $job" "report odd" "status" "report odd --format markdown"; do
    # shellcheck disable=SC2086
    expect_status 0 triad $command
    ! steers "$work/out" || fail "'$command' prints commands for the terminal"
done
expect_status 4 triad job show $'x\033[31m\xc2\x9b'
! steers "$work/err" || fail "an error prints commands for the terminal"

note "an error is JSON whatever the name"
expect_status 4 triad model inspect "$work/"$'\xff' --output json
said '"code": "not found"'
python3 -m json.tool <"$work/out" >/dev/null 2>&1 || [ ! -x "$(command -v python3)" ] || fail "that is no JSON"

note "a long reason in another script is cut between characters, and the report is JSON all the same"
expect_status 0 triad job retry --experiment odd
expect_status 0 triad job cancel --experiment odd --reason "x$(printf 'é%.0s' $(seq 300))"
expect_status 0 triad report odd --output json
expect_status 0 triad report odd --report-dir "$work/odd-report"

note "a report without a standard output goes into no file that happens to be opened"
status=0
triad run "$manifest" >&- 2>"$work/err" || status=$?
[ "$status" = 1 ] || fail "a report that went nowhere ended with $status"
grep -q "not all output could be written" "$work/err" || fail "nobody says that it went nowhere"
[ ! -s "$TRIAD_STATE/run.lock" ] || fail "the report is in run.lock"
(exec <&- >&- 2>&-; triad status) && fail "a status that went nowhere ended with 0"

note "a time that is over at once, and one that ends before the next look"
expect_status 0 triad experiment pause odd
expect_status 0 triad job retry --experiment odd
limit_s=60 expect_status 7 triad watch odd --timeout 0s
limit_s=30 expect_status 7 triad watch odd --timeout 1s --poll-ms 60000

note "values that a worker would refuse are said before it starts, with the code of a wrong value"
for option in "--memory x" "--memory -1GiB" "--label a;b" "--data-listen :1" "--advertise a:b:c" "--advertise node7" \
    "--idle-end 0s" "--time-limit 0s" "--time-limit x" "--name $(printf 'x%.0s' $(seq 300))"; do
    # shellcheck disable=SC2086
    expect_status 3 triad worker start --worker-access "$TRIAD_STATE/worker.access" $option
    said "--${option%% *}|^triad: (--|label)"
done
expect_status 3 triad alloc add slurm --cores 1 --time 4h --memory -1GiB
expect_status 3 triad alloc add slurm --cores 1 --time 4h --idle 0s
expect_status 3 triad alloc add slurm --cores 1 --time 4h -- --comment=$'\xff'
said "not UTF-8"

note "a backup is of the coordinator that is asked, or none is made"
mkdir "$work/elsewhere"
(cd "$work/elsewhere" && unset TRIAD_STATE && expect_status 9 triad backup copy --access "$work/state/client.access") || exit 1
said "that coordinator's state is '$work/state'"
[ ! -e "$work/elsewhere/copy" ] || fail "a copy without blobs was made"
expect_status 0 triad backup "$work/copy"
[ "$(find "$work/copy/blobs" -type f | wc -l)" -gt 10 ] || fail "the copy has no blobs"
expect_status 9 triad backup "$work/copy/"
expect_status 4 triad backup "$work/nowhere/copy"
for first in $(seq 255 -1 0); do # a file where a folder of blobs should be: the copy is not made to its end
    first=$TRIAD_STATE/blobs/$(printf %02x "$first")
    [ -e "$first" ] || break
done
: >"$first"
expect_status 1 triad backup "$work/half"
rm "$first"
[ -z "$(find "$work" -maxdepth 1 -name 'half*' -o -maxdepth 1 -name 'copy.*')" ] || fail "a part of a copy is left"

note "a model's folder is new, and as open as other folders that are made here"
(umask 027 && expect_status 0 triad model get toy/PT "$work/model" --experiment tiny) || exit 1
[ "$(stat -c %a "$work/model")" = 750 ] || fail "the folder has mode $(stat -c %a "$work/model")"
TRIAD_STATE=$work/nowhere expect_status 9 triad model get toy/PT "$work/model" --experiment tiny
cp "$work/model/config.json" "$work/elsewhere"
expect_status 9 triad model merge "$work/model" "$work/model" "$work/elsewhere"
said "already holds a config.json"

note "a standard input that is a folder, or closed, is no empty text"
expect_status 3 triad tokenize "$work/model" <"$work"
said "'standard input': it is a folder"
expect_status 3 triad score "$work/model" <"$work"
expect_status 1 triad score "$work/model" <&-

note "a plan is made where nothing can be kept"
[ "$(id -u)" = 0 ] || chmod 500 "$work/elsewhere"
touch "$work/elsewhere/file"
expect_status 0 triad plan "$odd" --state "$work/elsewhere/file/state"

note "paths in another encoding"
folder=$work/$'latin\xe4'
mkdir "$folder"
sed 's/PT: {pretrain.*/PT: {checkpoint: model}/; /IT:/d; /ST:/d; /architecture/d; /tokenizer:/d; /train:/d; /compare/d; /baseline/d' "$odd" >"$folder/m.yaml"
expect_status 0 triad plan "$folder/m.yaml" --missing-ok --output json
said '"what":"checkpoint .*latin\?/model"'
cp -r "$work/model" "$folder/model"
expect_status 0 triad plan "$folder/m.yaml" --output json
said '"named":".*latin\?/model"'

note "options that would be passed over"
expect_status 3 triad report odd --format markdown --output json
expect_status 3 triad suite fetch urn_icl
said "come with Triad"
expect_status 0 triad tokenize "$work/model" --text "a b" --total --output csv
said "^tokens,bytes,replaced$"
expect_status 0 triad completion bash
bash -c ". '$work/out'; cd '$work'; : >'a b.yaml'; COMP_WORDS=(triad run 'a '); COMP_CWORD=2; _triad
    [ \"\${#COMPREPLY[@]} \${COMPREPLY[0]}\" = '1 a b.yaml' ]" || fail "a name with a blank is completed in pieces"

note "several submissions and fetches at once in one state folder"
submitters=()
for n in 1 2 3 4; do
    sed "s/experiment: tiny/experiment: at-once-$n/; s/max_sequences: 24/max_sequences: 1$n/; s/tokens: 60k/tokens: 50k/" "$manifest" >"$work/at-once-$n.yaml"
done
for n in 1 2 3 4; do
    "$TRIAD_BIN/triad" submit "$work/at-once-$n.yaml" >"$work/at-once-$n.log" 2>&1 &
    submitters+=("$!")
    "$TRIAD_BIN/triad" model get toy/IT "$work/at-once-$n" --experiment tiny >>"$work/at-once-$n.log" 2>&1 &
    submitters+=("$!")
done
for pid in "${submitters[@]}"; do wait "$pid" || fail "one of several at once ended with $?"; done

note "a model's text steers no terminal, and is whole in a file"
prompt=$'a\033[31mb\nc'
triad generate "$work/model" --prompt "$prompt" --tokens 0 >"$work/out"
[ "$(cat "$work/out")" = "$prompt" ] || fail "the text in a file is not as it is"
PROMPT=$prompt script -qec "'$TRIAD_BIN/triad' generate '$work/model' --prompt \"\$PROMPT\" --tokens 0" /dev/null >"$work/out"
said 'a\?\[31mb'
! steers "$work/out" || fail "a model's text prints commands for the terminal"

note "curves say what memory was held, also between the steps at which it was measured"
expect_status 0 triad curves toy/PT --experiment tiny --rows 7
[ "$(awk 'NR > 1 && $NF ~ /^[0-9.]+$/' "$work/out" | wc -l)" = "$(($(wc -l <"$work/out") - 1))" ] || fail "a row has no memory"
expect_status 0 triad curves toy/PT --experiment tiny --output csv
[ "$(cut -d, -f11 "$work/out" | grep -c .)" -lt "$(wc -l <"$work/out")" ] || fail "CSV shows what was not measured"

note "files of reports and models are as private as their owner's umask has it"
(umask 027 && triad report tiny --report-dir "$work/private" >/dev/null 2>&1 &&
    triad tokenizer train "$manifest" --vocabulary 300 --out "$work/private" 2>/dev/null) || fail "no report, or no tokenizer"
for file in report.md records.csv tokenizer.json; do
    [ "$(stat -c %a "$work/private/$file")" = 640 ] || fail "$file has mode $(stat -c %a "$work/private/$file")"
done
