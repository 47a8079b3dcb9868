// Package activities holds what the workflows call: reads and writes of the store, and calls to a processor.
//
//	store.go      Payments: the activities that read and write the store
//	batch.go      Batches: the activities with which batches are submitted, read, controlled and sent; batchsender.go sends
//	processor.go  Processor: the activities that call a processor, one attempt each
//	errors.go     the one place where a processor's error becomes an error of Temporal
//	terms.go      Terms: the settings of one payment, and their parts Poll and Duration, which the configuration file has, too
package activities
