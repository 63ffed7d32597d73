package main

import (
	"context"
	"errors"

	"github.com/IBM/sarama"
)

// saramaClient is the client IBM/sarama.
type saramaClient struct{ addresses []string }

func newSarama(address string) client { return saramaClient{[]string{address}} }

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Return.Errors = true
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout = sessionTimeout
	config.Consumer.Group.Heartbeat.Interval = heartbeatInterval
	return config
}

func (s saramaClient) withAdmin(use func(sarama.ClusterAdmin) error) error {
	admin, err := sarama.NewClusterAdmin(s.addresses, saramaConfig())
	if err != nil {
		return err
	}
	return errors.Join(use(admin), admin.Close())
}

func (s saramaClient) create(_ context.Context, topic string, partitions int, configs map[string]string) error {
	detail := &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1}
	detail.ConfigEntries = map[string]*string{}
	for key, value := range configs {
		detail.ConfigEntries[key] = &value
	}
	return s.withAdmin(func(admin sarama.ClusterAdmin) error {
		return admin.CreateTopic(topic, detail, false)
	})
}

func (s saramaClient) describe(_ context.Context, topic string) ([]int, map[string]string, error) {
	partitions, configs := []int{}, map[string]string{}
	err := s.withAdmin(func(admin sarama.ClusterAdmin) error {
		topics, err := admin.DescribeTopics([]string{topic})
		if err != nil {
			return err
		}
		if topics[0].Err != sarama.ErrNoError {
			return topics[0].Err
		}
		for _, partition := range topics[0].Partitions {
			partitions = append(partitions, int(partition.ID))
		}
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
		for _, entry := range entries {
			configs[entry.Name] = entry.Value
		}
		return err
	})
	return partitions, configs, err
}

func (s saramaClient) remove(_ context.Context, topic string) error {
	return s.withAdmin(func(admin sarama.ClusterAdmin) error { return admin.DeleteTopic(topic) })
}

func (s saramaClient) produce(_ context.Context, topic string, partition int, codec string, records []record) ([]int64, error) {
	config := saramaConfig()
	config.Producer.Compression = saramaCodecs[codec]
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(s.addresses, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	sent := saramaMessages(topic, partition, records)
	if err := producer.SendMessages(sent); err != nil {
		var failed sarama.ProducerErrors
		if errors.As(err, &failed) {
			return nil, failed[0]
		}
		return nil, err
	}
	offsets := make([]int64, len(sent))
	for index, message := range sent {
		offsets[index] = message.Offset
	}
	return offsets, nil
}

func saramaMessages(topic string, partition int, records []record) []*sarama.ProducerMessage {
	sent := make([]*sarama.ProducerMessage, len(records))
	for index, each := range records {
		message := &sarama.ProducerMessage{Topic: topic, Partition: int32(partition)}
		if each.Key != nil {
			message.Key = sarama.StringEncoder(*each.Key)
		}
		if each.Value != nil {
			message.Value = sarama.StringEncoder(*each.Value)
		}
		for _, header := range each.Headers {
			pair := sarama.RecordHeader{Key: []byte(header[0]), Value: []byte(header[1])}
			message.Headers = append(message.Headers, pair)
		}
		sent[index] = message
	}
	return sent
}

func (s saramaClient) transact(_ context.Context, topic string, partition int, commit bool, group string, offset int64, records []record) error {
	config := saramaConfig()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = "sarama-" + topic
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(s.addresses, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := producer.BeginTxn(); err != nil {
		return err
	}
	if err := producer.SendMessages(saramaMessages(topic, partition, records)); err != nil {
		return err
	}
	if group != "" {
		place := &sarama.PartitionOffsetMetadata{Partition: int32(partition), Offset: offset}
		offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {place}}
		if err := producer.AddOffsetsToTxn(offsets, group); err != nil {
			return err
		}
	}
	if commit {
		return producer.CommitTxn()
	}
	return producer.AbortTxn()
}

func saySarama(message *sarama.ConsumerMessage, say sayRecord) {
	read := record{Key: textOf(message.Key), Value: textOf(message.Value)}
	for _, header := range message.Headers {
		read.Headers = append(read.Headers, [2]string{string(header.Key), string(header.Value)})
	}
	say(int(message.Partition), message.Offset, read)
}

func (s saramaClient) consume(ctx context.Context, topic string, partition int, start int64, count int, say sayRecord) error {
	consumer, err := sarama.NewConsumer(s.addresses, saramaConfig())
	if err != nil {
		return err
	}
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, int32(partition), start)
	if err != nil {
		return err
	}
	defer reader.Close()
	for ; count > 0; count-- {
		select {
		case message := <-reader.Messages():
			saySarama(message, say)
		case failed := <-reader.Errors():
			return failed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s saramaClient) offsets(_ context.Context, topic string, partition int) (int64, int64, error) {
	connected, err := sarama.NewClient(s.addresses, saramaConfig())
	if err != nil {
		return 0, 0, err
	}
	defer connected.Close()
	earliest, err := connected.GetOffset(topic, int32(partition), sarama.OffsetOldest)
	if err != nil {
		return 0, 0, err
	}
	latest, err := connected.GetOffset(topic, int32(partition), sarama.OffsetNewest)
	return earliest, latest, err
}

func (s saramaClient) committed(_ context.Context, group, topic string, partition int) (int64, error) {
	offset := int64(-1)
	err := s.withAdmin(func(admin sarama.ClusterAdmin) error {
		wanted := map[string][]int32{topic: {int32(partition)}}
		found, err := admin.ListConsumerGroupOffsets(group, wanted)
		if err != nil {
			return err
		}
		if block := found.GetBlock(topic, int32(partition)); block != nil {
			offset = block.Offset
		}
		return nil
	})
	return offset, err
}

func (s saramaClient) member(ctx context.Context, group, topic string, sayAssigned func([]int), say sayRecord) error {
	member, err := sarama.NewConsumerGroup(s.addresses, group, saramaConfig())
	if err != nil {
		return err
	}
	handler := saramaHandler{topic, sayAssigned, say}
	for ctx.Err() == nil {
		if err := member.Consume(ctx, []string{topic}, handler); err != nil {
			return errors.Join(err, member.Close())
		}
	}
	return member.Close()
}

// saramaHandler is told of a member's sessions: one for each assignment.
type saramaHandler struct {
	topic       string
	sayAssigned func([]int)
	say         sayRecord
}

func (h saramaHandler) Setup(session sarama.ConsumerGroupSession) error {
	partitions := []int{}
	for _, id := range session.Claims()[h.topic] {
		partitions = append(partitions, int(id))
	}
	h.sayAssigned(partitions)
	return nil
}

func (h saramaHandler) Cleanup(sarama.ConsumerGroupSession) error {
	h.sayAssigned(nil)
	return nil
}

func (h saramaHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			saySarama(message, h.say)
			session.MarkMessage(message, "")
			session.Commit()
		case <-session.Context().Done():
			return nil
		}
	}
}

func (s saramaClient) code(err error) (int, bool) {
	var topicError *sarama.TopicError
	if errors.As(err, &topicError) {
		return int(topicError.Err), true
	}
	var answered sarama.KError
	if errors.As(err, &answered) {
		return int(answered), true
	}
	return 0, false
}
