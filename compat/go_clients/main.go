// Carries out operations with one Go client and prints JSON lines.
//
//	go_clients CLIENT serve ADDRESS
//	go_clients CLIENT member ADDRESS GROUP TOPIC
//
// CLIENT is franz-go, sarama or kafka-go; the operations and their lines are those of
// compat/programs.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Group members notice each other's end soon; as compat/members.py has it.
const (
	sessionTimeout    = 3000 * time.Millisecond
	heartbeatInterval = 300 * time.Millisecond
	operationTimeout  = 30 * time.Second
)

// record is what is produced and consumed; a nil key or value is null.
type record struct {
	Key     *string     `json:"key"`
	Value   *string     `json:"value"`
	Headers [][2]string `json:"headers"`
}

// client is what the tests need of a Kafka client.
type client interface {
	create(ctx context.Context, topic string, partitions int, configs map[string]string) error
	describe(ctx context.Context, topic string) (partitions []int, configs map[string]string, err error)
	remove(ctx context.Context, topic string) error
	// produce gives the offset of each record.
	produce(ctx context.Context, topic string, partition int, codec string, records []record) ([]int64, error)
	// transact sends in a transaction, and commits an offset for a group unless that is empty.
	transact(ctx context.Context, topic string, partition int, commit bool, group string, offset int64, records []record) error
	consume(ctx context.Context, topic string, partition int, start int64, count int, say sayRecord) error
	// offsets gives the earliest and the latest offset of a partition.
	offsets(ctx context.Context, topic string, partition int) (earliest, latest int64, err error)
	// committed gives -1 where the group has not committed.
	committed(ctx context.Context, group, topic string, partition int) (int64, error)
	// member reads and commits until ctx is done, then leaves the group.
	member(ctx context.Context, group, topic string, sayAssigned func([]int), say sayRecord) error
	// code gives the error code that the broker has answered.
	code(err error) (int, bool)
}

type sayRecord func(partition int, offset int64, read record)

var clients = map[string]func(address string) client{
	"franz-go": newFranz,
	"sarama":   newSarama,
	"kafka-go": newKafkaGo,
}

var sayLock sync.Mutex

func say(what map[string]any) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	sayLock.Lock()
	defer sayLock.Unlock()
	fmt.Println(string(line))
}

func sayRead(partition int, offset int64, read record) {
	value := ""
	if read.Value != nil {
		value = *read.Value
	}
	if read.Headers == nil {
		read.Headers = [][2]string{}
	}
	place := []any{partition, offset, value}
	say(map[string]any{"record": place, "key": read.Key, "headers": read.Headers, "null": read.Value == nil})
}

func sayAssigned(partitions []int) {
	slices.Sort(partitions)
	say(map[string]any{"assigned": append([]int{}, partitions...)})
}

// request is a line of standard input.
type request struct {
	Operation string   `json:"operation"`
	Arguments []string `json:"arguments"`
	Records   []record `json:"records"`
}

func main() {
	if len(os.Args) < 4 || clients[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go_clients CLIENT serve|member ADDRESS ARGUMENTS...")
		os.Exit(2)
	}
	chosen := clients[os.Args[1]](os.Args[3])
	var err error
	if os.Args[2] == "member" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = chosen.member(ctx, os.Args[4], os.Args[5], sayAssigned, sayRead)
	} else {
		err = serve(chosen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve carries out what standard input asks for, until its end.
func serve(chosen client) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		err := run(chosen, asked)
		code, answered := chosen.code(err)
		if err != nil && !answered {
			return err
		}
		say(map[string]any{"done": code})
	}
	return lines.Err()
}

func run(chosen client, asked request) error {
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	arguments := asked.Arguments
	switch asked.Operation {
	case "create":
		configs := map[string]string{}
		for _, pair := range arguments[2:] {
			key, value, _ := strings.Cut(pair, "=")
			configs[key] = value
		}
		return chosen.create(ctx, arguments[0], number(arguments[1]), configs)
	case "describe":
		partitions, configs, err := chosen.describe(ctx, arguments[0])
		if err != nil {
			return err
		}
		slices.Sort(partitions)
		say(map[string]any{"partitions": partitions, "configs": configs})
	case "delete":
		return chosen.remove(ctx, arguments[0])
	case "produce":
		partition, codec := number(arguments[1]), arguments[2]
		offsets, err := chosen.produce(ctx, arguments[0], partition, codec, asked.Records)
		if err != nil {
			return err
		}
		say(map[string]any{"offsets": offsets})
	case "transact":
		isCommit, offset := arguments[2] == "commit", int64(number(arguments[4]))
		return chosen.transact(ctx, arguments[0], number(arguments[1]), isCommit, arguments[3], offset, asked.Records)
	case "consume":
		start, count := int64(number(arguments[2])), number(arguments[3])
		return chosen.consume(ctx, arguments[0], number(arguments[1]), start, count, sayRead)
	case "offsets":
		earliest, latest, err := chosen.offsets(ctx, arguments[0], number(arguments[1]))
		if err != nil {
			return err
		}
		say(map[string]any{"earliest": earliest, "latest": latest})
	case "committed":
		offset, err := chosen.committed(ctx, arguments[0], arguments[1], number(arguments[2]))
		if err != nil {
			return err
		}
		say(map[string]any{"committed": offset})
	default:
		return errors.New("unknown operation " + asked.Operation)
	}
	return nil
}

func number(text string) int {
	found, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return found
}

func bytesOf(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

func textOf(data []byte) *string {
	if data == nil {
		return nil
	}
	text := string(data)
	return &text
}
