package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// The baseline: a workflow that makes one HTTP call in one activity, the simplest way to charge with Temporal. It has no store,
// no lookups and no classification of responses, so an unknown outcome is never resolved.

const (
	bareQueue = "bare"
	// bareCallQueue is the activity's own task queue in the variant with two queues.
	bareCallQueue = "bare-calls"
)

type bareRequest struct {
	Queue  string `json:"queue"`
	Key    string `json:"key"`
	Amount int64  `json:"amount"`
}

type bareResult struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

func bareCharge(ctx workflow.Context, req bareRequest) (result bareResult, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           req.Queue,
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 30 * time.Second},
	})
	err = workflow.ExecuteActivity(ctx, (*bareCalls).Post, req).Get(ctx, &result)
	return result, err
}

type bareCalls struct {
	url, key string
	http     *http.Client
}

// Post is the activity: it sends the charge to the processor.
func (b *bareCalls) Post(ctx context.Context, req bareRequest) (result bareResult, err error) {
	body, err := json.Marshal(map[string]any{
		"card_token": "tok_visa", "amount": req.Amount, "currency": "USD", "capture": true, "reference": req.Key,
		"metadata": map[string]string{},
	})
	if err != nil {
		return result, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/charges", bytes.NewReader(body))
	if err != nil {
		return result, err
	}
	request.Header.Set("Authorization", "Bearer "+b.key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", req.Key)
	response, err := b.http.Do(request)
	if err != nil {
		return result, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return result, fmt.Errorf("status %d", response.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return result, err
	}
	return result, json.Unmarshal(content, &result)
}

// startBare starts the workers of a bare variant. An activity with a task queue of its own can be paused and rate-limited for all
// workers together. An activity on the workflow's queue is faster: Temporal returns it with the completed workflow task, to the
// worker that requested it, without going through a queue.
func startBare(t client.Client, processorURL, callQueue string) (started []worker.Worker, err error) {
	calls := &bareCalls{url: processorURL, key: processorKey, http: &http.Client{
		Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100},
	}}
	options := worker.Options{ // as many pollers as Florin's workers have
		MaxConcurrentWorkflowTaskPollers: 16, MaxConcurrentActivityTaskPollers: 16, WorkerStopTimeout: 10 * time.Second,
	}
	w := worker.New(t, bareQueue, options)
	w.RegisterWorkflowWithOptions(bareCharge, workflow.RegisterOptions{Name: "Bare"})
	workers := []worker.Worker{w}
	if callQueue == bareQueue {
		w.RegisterActivity(calls)
	} else {
		options.DisableWorkflowWorker = true
		activities := worker.New(t, callQueue, options)
		activities.RegisterActivity(calls)
		workers = append(workers, activities)
	}
	for _, w := range workers {
		if err := w.Start(); err != nil {
			return started, err
		}
		started = append(started, w)
	}
	return started, nil
}

// bareVariant charges with the bare workflow.
func bareVariant(name string, t client.Client, callQueue string) variant {
	return variant{name: name, temporal: t, charge: func(ctx context.Context, key string) (workflowID string, err error) {
		run, err := t.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: key, TaskQueue: bareQueue}, "Bare",
			bareRequest{Queue: callQueue, Key: uuid.NewSHA1(uuid.Nil, []byte(key)).String(), Amount: amount})
		if err != nil {
			return "", err
		}
		var result bareResult
		if err := run.Get(ctx, &result); err != nil {
			return "", err
		}
		if result.Status != "succeeded" {
			return "", fmt.Errorf("the charge is %s: want succeeded", result.Status)
		}
		return run.GetID(), nil
	}}
}
