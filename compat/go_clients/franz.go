package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is the client franz-go (packages kgo and kadm).
type franz struct{ address string }

func newFranz(address string) client { return franz{address} }

var franzCodecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func (f franz) connect(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options, kgo.SeedBrokers(f.address))...)
}

func (f franz) admin() (*kadm.Client, error) {
	connected, err := f.connect()
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(connected), nil
}

func (f franz) create(ctx context.Context, topic string, partitions int, configs map[string]string) error {
	admin, err := f.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	wanted := map[string]*string{}
	for key, value := range configs {
		wanted[key] = &value
	}
	_, err = admin.CreateTopic(ctx, int32(partitions), 1, wanted, topic)
	return err
}

func (f franz) describe(ctx context.Context, topic string) ([]int, map[string]string, error) {
	admin, err := f.admin()
	if err != nil {
		return nil, nil, err
	}
	defer admin.Close()
	topics, err := admin.ListTopics(ctx, topic)
	if err == nil {
		err = topics[topic].Err
	}
	if err != nil {
		return nil, nil, err
	}
	partitions := []int{}
	for id := range topics[topic].Partitions {
		partitions = append(partitions, int(id))
	}
	described, err := admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	resource, err := described.On(topic, nil)
	configs := map[string]string{}
	for _, config := range resource.Configs {
		configs[config.Key] = config.MaybeValue()
	}
	return partitions, configs, err
}

func (f franz) remove(ctx context.Context, topic string) error {
	admin, err := f.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	_, err = admin.DeleteTopic(ctx, topic)
	return err
}

func (f franz) produce(ctx context.Context, topic string, partition int, codec string, records []record) ([]int64, error) {
	producer, err := f.connect(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(franzCodecs[codec]),
	)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	sent := franzRecords(topic, partition, records)
	if err := producer.ProduceSync(ctx, sent...).FirstErr(); err != nil {
		return nil, err
	}
	offsets := make([]int64, len(sent))
	for index, each := range sent {
		offsets[index] = each.Offset
	}
	return offsets, nil
}

func franzRecords(topic string, partition int, records []record) []*kgo.Record {
	sent := make([]*kgo.Record, len(records))
	for index, each := range records {
		sent[index] = &kgo.Record{
			Topic: topic, Partition: int32(partition),
			Key: bytesOf(each.Key), Value: bytesOf(each.Value),
		}
		for _, header := range each.Headers {
			pair := kgo.RecordHeader{Key: header[0], Value: []byte(header[1])}
			sent[index].Headers = append(sent[index].Headers, pair)
		}
	}
	return sent
}

// It commits offsets only of what its own sessions have read.
func (f franz) transact(ctx context.Context, topic string, partition int, commit bool, group string, _ int64, records []record) error {
	if group != "" {
		return errors.New("no offsets without a session")
	}
	producer, err := f.connect(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID("franz-"+topic),
	)
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := producer.BeginTransaction(); err != nil {
		return err
	}
	if err := producer.ProduceSync(ctx, franzRecords(topic, partition, records)...).FirstErr(); err != nil {
		return err
	}
	return producer.EndTransaction(ctx, kgo.TransactionEndTry(commit))
}

func sayFranz(say sayRecord) func(*kgo.Record) {
	return func(each *kgo.Record) {
		read := record{Key: textOf(each.Key), Value: textOf(each.Value)}
		for _, header := range each.Headers {
			read.Headers = append(read.Headers, [2]string{header.Key, string(header.Value)})
		}
		say(int(each.Partition), each.Offset, read)
	}
}

func (f franz) consume(ctx context.Context, topic string, partition int, start int64, count int, say sayRecord) error {
	where := map[int32]kgo.Offset{int32(partition): kgo.NewOffset().At(start)}
	consumer, err := f.connect(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: where}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return err
	}
	defer consumer.Close()
	for count > 0 {
		fetches := consumer.PollRecords(ctx, count)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(sayFranz(say))
		count -= fetches.NumRecords()
	}
	return nil
}

func (f franz) offsets(ctx context.Context, topic string, partition int) (int64, int64, error) {
	admin, err := f.admin()
	if err != nil {
		return 0, 0, err
	}
	defer admin.Close()
	found := [2]int64{}
	for index, list := range []func(context.Context, ...string) (kadm.ListedOffsets, error){
		admin.ListStartOffsets, admin.ListEndOffsets,
	} {
		listed, err := list(ctx, topic)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return 0, 0, err
		}
		offset, _ := listed.Lookup(topic, int32(partition))
		found[index] = offset.Offset
	}
	return found[0], found[1], nil
}

func (f franz) committed(ctx context.Context, group, topic string, partition int) (int64, error) {
	admin, err := f.admin()
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	offsets, err := admin.FetchOffsetsForTopics(ctx, group, topic)
	if err != nil {
		return 0, err
	}
	offset, _ := offsets.Lookup(topic, int32(partition))
	return offset.At, offset.Err
}

func (f franz) member(ctx context.Context, group, topic string, sayAssigned func([]int), say sayRecord) error {
	var lock sync.Mutex
	owned := map[int]bool{}
	// Assignments come in steps (cooperative-sticky): what is told is all that is owned by now.
	change := func(now bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			lock.Lock()
			defer lock.Unlock()
			for _, id := range partitions[topic] {
				if now {
					owned[int(id)] = true
				} else {
					delete(owned, int(id))
				}
			}
			sayAssigned(slices.Collect(maps.Keys(owned)))
		}
	}
	consumer, err := f.connect(
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(change(true)),
		kgo.OnPartitionsRevoked(change(false)),
		kgo.OnPartitionsLost(change(false)),
	)
	if err != nil {
		return err
	}
	defer consumer.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := consumer.PollRecords(ctx, 100)
		for _, failed := range fetches.Errors() {
			if !errors.Is(failed.Err, context.Canceled) {
				return failed.Err
			}
		}
		fetches.EachRecord(sayFranz(say))
		if err := consumer.CommitRecords(context.Background(), fetches.Records()...); err != nil {
			return err
		}
		consumer.AllowRebalance()
	}
	return nil
}

func (f franz) code(err error) (int, bool) {
	var answered *kerr.Error
	if errors.As(err, &answered) {
		return int(answered.Code), true
	}
	return 0, false
}
