package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// chained returns a log that writes a chain to out.
func chained(out zapcore.WriteSyncer, o Options) *Log {
	l := New(out, o)
	l.startChain(newChain())
	return l
}

// run writes a number of records to a file, as one process does, and closes it.
func run(t *testing.T, path string, records int) {
	t.Helper()
	l, err := Open(Options{Path: path})
	require.NoError(t, err)
	for n := range records {
		l.Write(numbered(n))
	}
	require.NoError(t, l.Close())
	require.Zero(t, l.Failures())
}

// saved writes a log to a file.
func saved(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func verified(t *testing.T, o VerifyOptions, files ...string) Report {
	t.Helper()
	report, err := Verify(files, o)
	require.NoError(t, err)
	return report
}

// requireIntact requires that files have no fault, and returns their report.
func requireIntact(t *testing.T, files ...string) Report {
	t.Helper()
	report := verified(t, VerifyOptions{}, files...)
	require.Empty(t, report.Faults)
	return report
}

func TestRecordsAreAChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	run(t, path, 3)
	report := requireIntact(t, path)
	require.Empty(t, report.Notes)
	require.Len(t, report.Chains, 1)
	require.Equal(t, []any{uint64(1), uint64(5), true, 0},
		[]any{report.Chains[0].First.Seq, report.Chains[0].Last.Seq, report.Chains[0].Ended, report.Chains[0].Lost})
	messages := []string{messageStart, message, message, message, messageEnd}
	for i, line := range lines(t, path) {
		require.Contains(t, line, `"msg":"`+messages[i]+`"`)
	}
}

func TestLogWithoutRecordsStaysEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	run(t, path, 0)
	require.Empty(t, textOf(t, path))
	require.Equal(t, []string{"the files have no record of a chain"}, verified(t, VerifyOptions{}, path).Faults)
}

// Whatever is done to one line of a closed log is found. Only a change of the last record needs its logged position.
func TestEveryChangeOfALineIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	run(t, path, 3)
	run(t, path, 2)
	all := slices.Collect(strings.Lines(textOf(t, path)))
	require.Len(t, all, 5+4)
	last := verified(t, VerifyOptions{}, path).Chains[1].Last
	foreign := `{"level":"info","msg":"processor call"}` + "\n"
	for i, line := range all {
		for name, change := range map[string][]string{
			"removed":          {},
			"changed":          {strings.Replace(line, `"level":"info"`, `"level":"warn"`, 1)},
			"no JSON":          {line[1:]},
			"cut":              {line[:len(line)/2] + "\n"},
			"repeated":         {line, line},
			"another sequence": {strings.Replace(line, `"seq":`, `"seq":9`, 1)},
			"empty line":       {line, "\n"},
			"foreign line":     {line, foreign},
			"another chain":    {strings.Replace(line, `"chain":"`, `"chain":"f`, 1)},
		} {
			changed := strings.Join(slices.Concat(all[:i], change, all[i+1:]), "")
			report := verified(t, VerifyOptions{Last: []Anchor{last}}, saved(t, changed))
			if i == 0 && name == "removed" {
				require.Contains(t, report.Notes[0], "the records before it are not in these files", "as if an old file was deleted")
				continue
			}
			require.NotEmpty(t, report.Faults, "line %d %s", i+1, name)
		}
		if i > 0 {
			swapped := slices.Clone(all)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			require.NotEmpty(t, verified(t, VerifyOptions{}, saved(t, strings.Join(swapped, ""))).Faults)
			require.NotEmpty(t, verified(t, VerifyOptions{Last: []Anchor{last}}, saved(t, strings.Join(all[:len(all)-i], ""))).Faults, "cut off")
		}
	}
}

func TestFaultSaysWhereAndWhat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	run(t, path, 4)
	all := slices.Collect(strings.Lines(textOf(t, path)))
	id := verified(t, VerifyOptions{}, path).Chains[0].First.Chain
	changed := strings.Replace(all[2], `"status":200`, `"status":402`, 1)
	for name, tc := range map[string]struct {
		lines []string
		want  string
	}{
		"removed":  {lines: slices.Concat(all[:2], all[4:]), want: ":3: records 3 to 4 of chain " + id + " are missing"},
		"changed":  {lines: slices.Concat(all[:2], []string{changed}, all[3:]), want: ":4: record 4 of chain " + id + " does not have the hash of record 3: that one was changed"},
		"inserted": {lines: slices.Concat(all[:2], []string{"{}\n"}, all[2:]), want: ":3: 3 bytes are not a record, and no record names them as interrupted: they were inserted, or records were changed"},
		"repeated": {lines: slices.Concat(all[:3], all[2:]), want: ":4: record 3 of chain " + id + " is after record 3: it was inserted, or the files are not in the order in which they were written"},
		"after":    {lines: slices.Concat(all, []string{strings.Replace(all[5], `"seq":6`, `"seq":7`, 1)}), want: ":7: record 7 of chain " + id + " is after the end of its chain"},
		"no end":   {lines: all[:5], want: "chain " + id + " has no end record after record 5: records may be missing. Its process still runs, or was killed, or its end was cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			file := saved(t, strings.Join(tc.lines, ""))
			report := verified(t, VerifyOptions{}, file)
			require.Equal(t, tc.want, strings.TrimPrefix(report.Faults[0], file))
		})
	}
	file := saved(t, strings.Join(all[:5], ""))
	require.Empty(t, verified(t, VerifyOptions{Part: true}, file).Faults, "of a process that still runs")
}

func TestRestartContinuesTheChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for range 3 {
		run(t, path, 2)
	}
	report := requireIntact(t, path)
	require.Empty(t, report.Notes)
	require.Len(t, report.Chains, 3)
	all := slices.Collect(strings.Lines(textOf(t, path)))
	withoutSecond := saved(t, strings.Join(slices.Concat(all[:4], all[8:]), ""))
	require.Contains(t, verified(t, VerifyOptions{}, withoutSecond).Faults[0], "continues record 4 of chain "+report.Chains[1].First.Chain+", which is missing")
	cutBeforeRestart := saved(t, strings.Join(slices.Concat(all[:3], all[4:]), ""))
	require.Contains(t, verified(t, VerifyOptions{}, cutBeforeRestart).Faults[0], "of which records 4 to 4 are missing")
}

// A process may be killed after any byte of a record.
func TestCrashIsNoTampering(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	run(t, path, 2)
	all := slices.Collect(strings.Lines(textOf(t, path)))
	complete, record := all[0]+all[1], all[2]
	for written := range len(record) + 1 {
		if written > 150 && written < len(record)-5 && written%29 > 0 {
			continue // like its neighbors
		}
		file := saved(t, complete+record[:written])
		if running := verified(t, VerifyOptions{Part: true}, file); written > 0 && written < len(record)-1 {
			require.Contains(t, running.Notes[0], ":3: the last record is incomplete")
		}
		run(t, file, 1)
		report := requireIntact(t, file)
		require.Len(t, report.Chains, 2)
		require.Equal(t, written > 0 && written < len(record)-1, slices.ContainsFunc(report.Notes, func(note string) bool {
			return strings.Contains(note, ":3: an interrupted record of")
		}), "%d bytes: %v", written, report.Notes)
		require.Contains(t, report.Notes[len(report.Notes)-1], "has no end record: its process was stopped without closing it")
		if written > 10 && written < len(record)-1 {
			shortened := strings.Replace(textOf(t, file), record[:written], record[:written-5], 1)
			require.NotEmpty(t, verified(t, VerifyOptions{}, saved(t, shortened)).Faults)
			removed := strings.Replace(textOf(t, file), record[:written]+"\n", "", 1)
			require.Contains(t, verified(t, VerifyOptions{}, saved(t, removed)).Faults[0], "they are missing")
		}
	}
}

func TestTwoCrashesInARowAreNoTampering(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	run(t, path, 1)
	intact := textOf(t, path)
	require.NoError(t, os.WriteFile(path, []byte(intact+"{\"chain\":\"abc\n{\"cha"), 0o600))
	run(t, path, 1)
	require.NoError(t, os.WriteFile(path, []byte(textOf(t, path)+"\x00\x00"), 0o600))
	run(t, path, 1)
	report := requireIntact(t, path)
	require.Len(t, report.Notes, 2)
}

// The disk may be full after any byte of any write, and have room again later.
func TestFullDiskIsNoTampering(t *testing.T) {
	size := len(written(t, charge())) + 110
	for first := range 3 {
		for _, limit := range []int{0, 1, 50, 127, 128, size - 1, size} {
			limits := make([]int, first, first+2)
			for i := range limits {
				limits[i] = 1 << 20
			}
			out := &limitedWriter{limits: append(limits, limit, 0), err: errors.New("no space left on device")}
			l := chained(out, Options{})
			for n := range 6 {
				l.Write(numbered(n))
			}
			require.NoError(t, l.Close())
			report := requireIntact(t, saved(t, out.String()))
			require.EqualValues(t, l.Failures(), report.Chains[0].Lost, "limit %d of write %d", limit, first)
		}
	}
}

// Rotation deletes the oldest files. What remains is intact, and the report says where it begins, but a file that is missing in
// between is a fault.
func TestLogWhoseOldestFilesWereDeletedIsIntact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l, err := Open(Options{Path: path, MaxSizeMB: 1, MaxBackups: 2, MaxAgeDays: 400})
	require.NoError(t, err)
	for range 6 << 20 / len(written(t, charge())) {
		l.Write(charge())
	}
	require.NoError(t, l.Close())
	rotated, err := filepath.Glob(filepath.Join(filepath.Dir(path), "audit-*"))
	require.NoError(t, err)
	require.Len(t, rotated, 2)
	report := requireIntact(t, append(rotated, path)...)
	require.Len(t, report.Notes, 1)
	require.Contains(t, report.Notes[0], "the records before it are not in these files")
	require.Greater(t, report.Chains[0].First.Seq, uint64(1))
	require.NotEmpty(t, verified(t, VerifyOptions{}, rotated[0], path).Faults)
}

func TestRecordsThatAreLostAreInTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{}
		out.stall()
		l := chained(zapcore.AddSync(out), Options{})
		large := numbered(0)
		large.Answer = []byte(`{"data":[` + strings.Repeat(`{"id":""},`, 6_000) + `{}]}`)
		fits := maxQueued / len(written(t, large))
		for range fits + 3 {
			l.Write(large)
		}
		require.EqualValues(t, 3, l.Failures())
		out.resume()
		synctest.Wait()
		l.Write(numbered(1))
		require.NoError(t, l.Close())
		all := slices.Collect(strings.Lines(out.written.String()))
		require.Len(t, all, 1+fits+1+1+1)
		require.Contains(t, all[1+fits], `"msg":"audit records lost","lost":3}`)
		require.Equal(t, 3, requireIntact(t, saved(t, out.written.String())).Chains[0].Lost)
	})
}

func TestRecordsThatAreLostAtTheEndAreInTheChain(t *testing.T) {
	out := &limitedWriter{limits: []int{1 << 20, 1 << 20, 0, 0}, err: errors.New("no space left on device")}
	l := chained(out, Options{})
	for n := range 3 {
		l.Write(numbered(n))
	}
	require.NoError(t, l.Close())
	report := requireIntact(t, saved(t, out.String()))
	require.Equal(t, []any{2, true}, []any{report.Chains[0].Lost, report.Chains[0].Ended})
}

func TestRotationKeepsTheChain(t *testing.T) {
	for name, o := range map[string]Options{"plain": {}, "compressed": {Compress: true}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o.Path, o.MaxSizeMB = filepath.Join(dir, "audit.log"), 1
			for range 2 {
				l, err := Open(o)
				require.NoError(t, err)
				for n := range 2 << 20 / len(written(t, charge())) {
					l.Write(numbered(n))
				}
				require.NoError(t, l.Close())
			}
			old, err := filepath.Glob(filepath.Join(dir, "audit-*"))
			require.NoError(t, err)
			files := append(old, o.Path)
			require.GreaterOrEqual(t, len(files), 4)
			require.Empty(t, requireIntact(t, files...).Notes)

			require.Len(t, requireIntact(t, files[1:]...).Notes, 1, "the oldest file may have been deleted")
			for i := 1; i < len(files); i++ {
				require.NotEmpty(t, verified(t, VerifyOptions{}, slices.Delete(slices.Clone(files), i, i+1)...).Faults)
			}
			slices.Reverse(files)
			require.NotEmpty(t, verified(t, VerifyOptions{}, files...).Faults)
		})
	}
}

func TestRecordsFromBeforeTheChainAreNamed(t *testing.T) {
	path := saved(t, written(t, charge())+"partial")
	run(t, path, 1)
	report := requireIntact(t, path)
	require.Len(t, report.Notes, 1)
	require.Contains(t, report.Notes[0], ":1: "+"")
	require.Contains(t, report.Notes[0], "bytes before the first chain, which does not protect them")
}

// Log systems mix the standard outputs of several processes.
func TestChainsMayBeMixed(t *testing.T) {
	one, two := filepath.Join(t.TempDir(), "audit.log"), filepath.Join(t.TempDir(), "audit.log")
	run(t, one, 3)
	run(t, two, 3)
	ones, twos := slices.Collect(strings.Lines(textOf(t, one))), slices.Collect(strings.Lines(textOf(t, two)))
	var mixed strings.Builder
	for i := range ones {
		mixed.WriteString(twos[i] + ones[i])
	}
	require.Len(t, requireIntact(t, saved(t, mixed.String())).Chains, 2)
	part := saved(t, strings.Join(slices.Collect(strings.Lines(mixed.String()))[4:], ""))
	require.NotEmpty(t, verified(t, VerifyOptions{}, part).Faults)
	require.Empty(t, verified(t, VerifyOptions{Part: true}, part).Faults)
}

func TestProcessesThatOverlapInOneFileAreNoTampering(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	first, err := Open(Options{Path: path})
	require.NoError(t, err)
	first.Write(numbered(0))
	second, err := Open(Options{Path: path})
	require.NoError(t, err)
	for n := range 3 {
		second.Write(numbered(n))
		first.Write(numbered(n))
	}
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
	require.Empty(t, requireIntact(t, path).Notes)
}

func TestPositionIsLoggedAtTheStartEveryMinuteAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zapcore.DebugLevel)
		var out bytes.Buffer
		l := chained(zapcore.AddSync(&out), Options{Fallback: zap.New(core)})
		for n := range 8 {
			l.Write(numbered(n))
			<-time.After(20 * time.Second)
		}
		require.NoError(t, l.Close())
		var anchors []Anchor
		for _, entry := range logged.All() {
			require.Equal(t, "position of the audit log", entry.Message)
			text, err := json.Marshal(entry.ContextMap())
			require.NoError(t, err)
			var anchor Anchor
			require.NoError(t, json.Unmarshal(text, &anchor)) // Seq is seq: encoding/json ignores the case
			anchors = append(anchors, anchor)
		}
		require.Equal(t, []uint64{2, 5, 8, 10}, []uint64{anchors[0].Seq, anchors[1].Seq, anchors[2].Seq, anchors[3].Seq})
		require.Empty(t, verified(t, VerifyOptions{Last: anchors}, saved(t, out.String())).Faults)

		all := slices.Collect(strings.Lines(out.String()))
		live := saved(t, strings.Join(all[:7], ""))
		require.Empty(t, verified(t, VerifyOptions{Part: true, Last: anchors[:2]}, live).Faults)
		require.Equal(t, []string{"record 8 with the hash " + anchors[2].Hash + " is missing: the log was cut off before it, or written anew"},
			verified(t, VerifyOptions{Part: true, Last: anchors[:3]}, live).Faults)
	})
}

func TestCloseReportsAnEndThatTheOutputDoesNotAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{}
		l := chained(zapcore.AddSync(out), Options{})
		l.Write(numbered(0))
		out.stall()
		require.EqualError(t, l.Close(), "the output of the audit log stalls: the end of the chain was not written within 5s")
		require.Zero(t, l.Failures())
		out.resume()
	})
}

func TestVerifyReportsFilesThatCannotBeRead(t *testing.T) {
	_, err := Verify([]string{filepath.Join(t.TempDir(), "none.log")}, VerifyOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Verify([]string{saved(t, "\x1f\x8bthis is no gzip")}, VerifyOptions{})
	require.ErrorContains(t, err, "gzip")
}

func TestLineThatIsTooLongForARecordIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	run(t, path, 1)
	file := saved(t, textOf(t, path)+strings.Repeat("x", 5*maxTail)+"\n")
	require.Len(t, verified(t, VerifyOptions{}, file).Faults, 1)
	run(t, file, 1)
	require.NotEmpty(t, verified(t, VerifyOptions{}, file).Faults, "its end is not looked for further back than maxTail")
}

// FuzzVerify changes a part of a log. Unless the log stays the same, the change is reported.
func FuzzVerify(f *testing.F) {
	var out bytes.Buffer
	l := chained(zapcore.AddSync(&out), Options{})
	for n := range 3 {
		l.Write(numbered(n))
	}
	last := func() Anchor { return l.sink.chain.last }
	require.NoError(f, l.Close())
	f.Add(uint16(100), uint16(1), []byte("x"))
	f.Add(uint16(0), uint16(200), []byte{})
	f.Add(uint16(500), uint16(0), []byte("\n"))
	f.Fuzz(func(t *testing.T, at, remove uint16, insert []byte) {
		log := out.Bytes()
		from := min(int(at), len(log))
		to := min(from+int(remove), len(log))
		changed := slices.Concat(log[:from], insert, log[to:])
		if bytes.Equal(changed, log) || bytes.Equal(changed, log[:len(log)-1]) {
			return
		}
		report := verified(t, VerifyOptions{Last: []Anchor{last()}}, saved(t, string(changed)))
		require.NotEmpty(t, append(report.Faults, report.Notes...))
	})
}

func TestHeaderOfARecordIsWhatVerifyReads(t *testing.T) {
	c := newChain()
	c.last.Seq, c.last.Hash = 41, strings.Repeat("ab", 32)
	line := c.of([]byte(`{"level":"info","msg":"processor call"}` + "\n"))
	require.True(t, json.Valid(line))
	h, ok := parseHeader(bytes.TrimSuffix(line, []byte("\n")))
	require.True(t, ok)
	require.Equal(t, header{Chain: c.last.Chain, Seq: 42, Prev: c.last.Hash, Level: "info", Message: message}, h)
}
