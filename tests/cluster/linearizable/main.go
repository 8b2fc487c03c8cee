// Command linearizable reads a history of reads, writes and exchanges of single keys and says whether they could have
// happened one after the other, each at a moment between its call and its return.
//
// A line is {"client": 1, "key": "k", "op": "get" | "put" | "cas", "expect": "a", "value": "b", "swapped": true,
// "call": 10, "return": 20}, "" a key that is not there.
// Prints what is wrong and exits with 1 if the history is not linearizable, with 2 if it could not be decided in time.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

const patience = 2 * time.Minute // for one key

type operation struct {
	Client  int    `json:"client"`
	Key     string `json:"key"`
	Op      string `json:"op"`
	Expect  string `json:"expect"`  // cas
	Value   string `json:"value"`   // what was read, or is written
	Swapped bool   `json:"swapped"` // cas
	Call    int64  `json:"call"`
	Return  int64  `json:"return"`
}

// One key. Its state is its value; "" is a key that is not there.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		o, value := input.(operation), state.(string)
		switch o.Op {
		case "get":
			return o.Value == value, value
		case "put":
			return true, o.Value
		case "cas":
			if o.Swapped {
				return o.Expect == value, o.Value
			}
			return o.Expect != value, value
		}
		panic("no such operation: " + o.Op)
	},
}

func main() {
	keys := map[string][]porcupine.Operation{}
	total := 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o operation
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		keys[o.Key] = append(keys[o.Key], porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Return})
		total++
	}
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	sort.Strings(names)
	code := 0
	for _, name := range names {
		switch porcupine.CheckOperationsTimeout(register, keys[name], patience) {
		case porcupine.Illegal:
			fmt.Printf("NOT linearizable: key %s, %d operations\n", name, len(keys[name]))
			code = 1
		case porcupine.Unknown:
			fmt.Printf("not decided in %v: key %s, %d operations\n", patience, name, len(keys[name]))
			code = max(code, 2)
		}
	}
	fmt.Printf("checked: %d operations, %d keys\n", total, len(keys))
	os.Exit(code)
}
