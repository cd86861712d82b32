package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is what /proc counts processor time in (USER_HZ is 100 on every Linux that Go runs on).
const tick = 0.01

// figures is what one measurement found; seconds and bytes throughout.
type figures struct {
	Seconds    float64 `json:"seconds"`
	Operations int64   `json:"operations"`
	Bytes      int64   `json:"bytes"`
	P50        float64 `json:"p50"`
	P99        float64 `json:"p99"`
	ServerCPU  float64 `json:"server_cpu"`
	ClientCPU  float64 `json:"client_cpu"`
	MachineCPU float64 `json:"machine_cpu"` // of all processes, the kernel and the hypervisor
	IdlePSS    int64   `json:"idle_pss"`
	PeakPSS    int64   `json:"peak_pss"`
	PeakRSS    int64   `json:"peak_rss"`
	Reconnects int     `json:"reconnects"`
	Note       string  `json:"note"`
}

// observer looks at the server's process tree.
type observer struct {
	root  int
	every time.Duration // between two looks at its memory
}

// watch runs work and answers what it cost. Nothing that prepares or checks belongs into work.
func (o *observer) watch(work func() error) (figures, error) {
	var f figures
	tree := o.tree()
	for _, pid := range tree {
		// 5 sets the peak back to the present size (man 5 proc, clear_refs).
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
	f.IdlePSS = pss(tree)
	f.PeakPSS = f.IdlePSS
	stop, stopped := make(chan struct{}), make(chan struct{})
	server, client, machine := treeCPU(tree), ownCPU(), machineCPU()
	begin := time.Now()
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(o.every):
				f.PeakPSS = max(f.PeakPSS, pss(o.tree()))
			}
		}
	}()
	err := work()
	f.Seconds = time.Since(begin).Seconds()
	f.ClientCPU, f.MachineCPU = ownCPU()-client, machineCPU()-machine
	tree = o.tree()
	f.ServerCPU = treeCPU(tree) - server
	close(stop)
	<-stopped
	f.PeakPSS = max(f.PeakPSS, pss(tree))
	for _, pid := range tree {
		f.PeakRSS += kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
	}
	return f, err
}

// tree answers the server's process and all below it.
func (o *observer) tree() []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []int{o.root}
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if fields := stat(pid); len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	tree := []int{o.root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// stat answers the fields of /proc/PID/stat from the third (state) on; none if it has ended.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// treeCPU answers the processor time of those processes, and of their children that have ended.
func treeCPU(tree []int) float64 {
	var ticks int64
	for _, pid := range tree {
		if fields := stat(pid); len(fields) > 14 {
			for _, field := range fields[11:15] {
				n, _ := strconv.ParseInt(field, 10, 64)
				ticks += n
			}
		}
	}
	return float64(ticks) * tick
}

func ownCPU() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// machineCPU answers what all processors together did since the start, without idling and iowait,
// but with what the hypervisor took away.
func machineCPU() float64 {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	var ticks int64
	for i, field := range strings.Fields(line) {
		if i == 1 || i == 2 || i == 3 || i == 6 || i == 7 || i == 8 { // user nice system irq softirq steal
			n, _ := strconv.ParseInt(field, 10, 64)
			ticks += n
		}
	}
	return float64(ticks) * tick
}

// pss answers the processes' memory, what they share counted once.
func pss(tree []int) int64 {
	var sum int64
	for _, pid := range tree {
		sum += kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
	}
	return sum
}

// kilobytes answers a line of a file of /proc that is given in kB, in bytes; 0 if there is none.
func kilobytes(path, name string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	_, after, found := strings.Cut(string(text), "\n"+name)
	if !found {
		return 0
	}
	n, _ := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	return n << 10
}

// percentiles writes p50 and p99 of what single operations took.
func (f *figures) percentiles(took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	f.P50 = took[len(took)/2].Seconds()
	f.P99 = took[min(len(took)-1, len(took)*99/100)].Seconds()
}
