package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// kafkaGo is the client segmentio/kafka-go.
type kafkaGo struct {
	address string
	admin   *kafka.Client
}

func newKafkaGo(address string) client {
	return kafkaGo{address, &kafka.Client{Addr: kafka.TCP(address), Timeout: operationTimeout}}
}

var kafkaGoCodecs = map[string]kafka.Compression{
	"none":   0,
	"gzip":   kafka.Gzip,
	"snappy": kafka.Snappy,
	"lz4":    kafka.Lz4,
	"zstd":   kafka.Zstd,
}

func (k kafkaGo) create(ctx context.Context, topic string, partitions int, configs map[string]string) error {
	wanted := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}
	for key, value := range configs {
		wanted.ConfigEntries = append(wanted.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	answer, err := k.admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{wanted}})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

func (k kafkaGo) describe(ctx context.Context, topic string) ([]int, map[string]string, error) {
	metadata, err := k.admin.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, nil, err
	}
	if err := metadata.Topics[0].Error; err != nil {
		return nil, nil, err
	}
	partitions := []int{}
	for _, partition := range metadata.Topics[0].Partitions {
		partitions = append(partitions, partition.ID)
	}
	wanted := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic}
	described, err := k.admin.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{wanted},
	})
	if err != nil {
		return nil, nil, err
	}
	configs := map[string]string{}
	for _, entry := range described.Resources[0].ConfigEntries {
		configs[entry.ConfigName] = entry.ConfigValue
	}
	return partitions, configs, described.Resources[0].Error
}

func (k kafkaGo) remove(ctx context.Context, topic string) error {
	answer, err := k.admin.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

func (k kafkaGo) produce(ctx context.Context, topic string, partition int, codec string, records []record) ([]int64, error) {
	offsets := []int64{}
	writer := &kafka.Writer{
		Addr: kafka.TCP(k.address), Topic: topic, RequiredAcks: kafka.RequireAll,
		Compression: kafkaGoCodecs[codec], BatchTimeout: 10 * time.Millisecond,
		Balancer: kafka.BalancerFunc(func(kafka.Message, ...int) int { return partition }),
		Completion: func(messages []kafka.Message, err error) {
			for _, message := range messages {
				offsets = append(offsets, message.Offset)
			}
		},
	}
	sent := make([]kafka.Message, len(records))
	for index, each := range records {
		sent[index] = kafka.Message{Key: bytesOf(each.Key), Value: bytesOf(each.Value)}
		for _, header := range each.Headers {
			pair := kafka.Header{Key: header[0], Value: []byte(header[1])}
			sent[index].Headers = append(sent[index].Headers, pair)
		}
	}
	err := writer.WriteMessages(ctx, sent...)
	// Close waits for the last Completion.
	return offsets, errors.Join(err, writer.Close())
}

func sayKafkaGo(message kafka.Message, say sayRecord) {
	read := record{Key: textOf(message.Key), Value: textOf(message.Value)}
	for _, header := range message.Headers {
		read.Headers = append(read.Headers, [2]string{header.Key, string(header.Value)})
	}
	say(message.Partition, message.Offset, read)
}

func (k kafkaGo) reader(topic string, partition int, start int64) (*kafka.Reader, error) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{k.address}, Topic: topic, Partition: partition,
		MaxWait: heartbeatInterval,
	})
	return reader, reader.SetOffset(start)
}

func (k kafkaGo) transact(context.Context, string, int, bool, string, int64, []record) error {
	return errors.New("no transactional producer")
}

func (k kafkaGo) consume(ctx context.Context, topic string, partition int, start int64, count int, say sayRecord) error {
	reader, err := k.reader(topic, partition, start)
	if err != nil {
		return err
	}
	defer reader.Close()
	for ; count > 0; count-- {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		sayKafkaGo(message, say)
	}
	return nil
}

func (k kafkaGo) offsets(ctx context.Context, topic string, partition int) (int64, int64, error) {
	// One request each: kafka-go merges answers about one partition.
	wanted := []kafka.OffsetRequest{kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition)}
	found := [2]kafka.PartitionOffsets{}
	for index, each := range wanted {
		answer, err := k.admin.ListOffsets(ctx, &kafka.ListOffsetsRequest{
			Topics: map[string][]kafka.OffsetRequest{topic: {each}},
		})
		if err != nil {
			return 0, 0, err
		}
		found[index] = answer.Topics[topic][0]
		if err := found[index].Error; err != nil {
			return 0, 0, err
		}
	}
	return found[0].FirstOffset, found[1].LastOffset, nil
}

func (k kafkaGo) committed(ctx context.Context, group, topic string, partition int) (int64, error) {
	answer, err := k.admin.OffsetFetch(ctx, &kafka.OffsetFetchRequest{
		GroupID: group, Topics: map[string][]int{topic: {partition}},
	})
	if err != nil {
		return 0, err
	}
	if answer.Error != nil {
		return 0, answer.Error
	}
	found := answer.Topics[topic][0]
	return found.CommittedOffset, found.Error
}

func (k kafkaGo) member(ctx context.Context, group, topic string, sayAssigned func([]int), say sayRecord) error {
	joined, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{k.address}, Topics: []string{topic},
		StartOffset: kafka.FirstOffset, SessionTimeout: sessionTimeout,
		RebalanceTimeout: 10 * time.Second, HeartbeatInterval: heartbeatInterval,
		JoinGroupBackoff: heartbeatInterval,
	})
	if err != nil {
		return err
	}
	for {
		generation, err := joined.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return joined.Close()
		}
		if err != nil {
			// It joins again by itself, as after any failed heartbeat.
			fmt.Println("next generation:", err)
			continue
		}
		partitions := []int{}
		var commits sync.Mutex
		for _, assigned := range generation.Assignments[topic] {
			partitions = append(partitions, assigned.ID)
			generation.Start(func(ctx context.Context) {
				if err := k.readAssigned(ctx, generation, &commits, topic, assigned, say); err != nil {
					fmt.Println("partition", assigned.ID, err)
				}
			})
		}
		sayAssigned(partitions)
	}
}

// readAssigned reads and commits one partition until its generation ends.
func (k kafkaGo) readAssigned(
	ctx context.Context, generation *kafka.Generation, commits *sync.Mutex, topic string,
	assigned kafka.PartitionAssignment, say sayRecord,
) error {
	reader, err := k.reader(topic, assigned.ID, assigned.Offset)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		sayKafkaGo(message, say)
		commits.Lock()
		next := map[string]map[int]int64{topic: {assigned.ID: message.Offset + 1}}
		err = generation.CommitOffsets(next)
		commits.Unlock()
		if err != nil {
			return err
		}
	}
}

func (k kafkaGo) code(err error) (int, bool) {
	var answered kafka.Error
	if errors.As(err, &answered) {
		return int(answered), true
	}
	return 0, false
}
