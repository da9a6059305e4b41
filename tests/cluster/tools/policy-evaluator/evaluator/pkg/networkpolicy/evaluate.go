package networkpolicy

import (
	"context"
	"net"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
)

// Evaluator gives the verdicts of this module without its packet queue, which needs a kernel's.
type Evaluator struct{ controller *Controller }

// NewEvaluator takes running pods with addresses of their own, one each.
func NewEvaluator(pods []*v1.Pod, namespaces []*v1.Namespace, policies []*networkingv1.NetworkPolicy) *Evaluator {
	byAddress := map[string]*v1.Pod{}
	for _, pod := range pods {
		byAddress[pod.Status.PodIP] = pod
	}
	return &Evaluator{&Controller{
		podLister:           corelisters.NewPodLister(indexed(pods)),
		namespaceLister:     corelisters.NewNamespaceLister(indexed(namespaces)),
		networkpolicyLister: networkinglisters.NewNetworkPolicyLister(indexed(policies)),
		getPodAssignedToIP:  func(address string) *v1.Pod { return byAddress[address] },
	}}
}

// Allowed tells whether the first packet of a connection passes, out of the one and into the other.
func (e *Evaluator) Allowed(from, to string, port int, protocol v1.Protocol) bool {
	first := packet{srcIP: net.ParseIP(from), dstIP: net.ParseIP(to), srcPort: 40000, dstPort: port, proto: protocol}
	return e.controller.evaluatePacket(context.Background(), first)
}

func indexed[T any](objects []T) cache.Indexer {
	by := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, by)
	for _, object := range objects {
		if err := indexer.Add(object); err != nil {
			panic(err)
		}
	}
	return indexer
}
