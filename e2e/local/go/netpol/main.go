// Netpol enforces the cluster's NetworkPolicies: kube-network-policies with a kubeconfig, for its own program knows only
// the configuration of a pod. It judges the first packet of each connection, which iptables queues for it.
package main

import (
	"context"
	"flag"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file that says where the API server is")
	node := flag.String("node", "", "name of the node whose pods these are")
	queue := flag.Int("nfqueue-id", 100, "number of the queue that iptables fills")
	health := flag.String("health", "127.0.0.1:9081", "where /healthz answers once policies are enforced")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, *kubeconfig, *node, *queue, *health); err != nil {
		klog.ErrorS(err, "NetworkPolicies are not enforced")
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, node string, queue int, health string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	controller, err := networkpolicy.NewController(
		client,
		factory.Networking().V1().NetworkPolicies(),
		factory.Core().V1().Namespaces(),
		factory.Core().V1().Pods(),
		nil, nil, nil, nil,
		networkpolicy.Config{NodeName: node, QueueID: queue},
	)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- controller.Run(ctx) }()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(http.StatusOK) })
	go func() { ended <- http.ListenAndServe(health, nil) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}
