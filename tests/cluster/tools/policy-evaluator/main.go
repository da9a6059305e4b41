// What kube-network-policies' evaluator says of connections: one cluster a line in, one list of verdicts a line out.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

const longestLine = 16 << 20

type connection struct {
	From, To string
	Port     int
	Protocol v1.Protocol
}

type cluster struct {
	Pods        []*v1.Pod
	Namespaces  []*v1.Namespace
	Policies    []*networkingv1.NetworkPolicy
	Connections []connection
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked cluster
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(verdicts(asked)); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

func verdicts(asked cluster) []bool {
	for index, policy := range asked.Policies {
		asked.Policies[index] = stored(policy)
	}
	evaluator := networkpolicy.NewEvaluator(asked.Pods, asked.Namespaces, asked.Policies)
	found := []bool{}
	for _, one := range asked.Connections {
		found = append(found, evaluator.Allowed(one.From, one.To, one.Port, one.Protocol))
	}
	return found
}

// The policy as an API server stores it: without empty lists, with the defaults of its description.
func stored(policy *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
	text, err := json.Marshal(policy)
	if err != nil {
		log.Fatal(err)
	}
	var kept networkingv1.NetworkPolicy
	if err := json.Unmarshal(text, &kept); err != nil {
		log.Fatal(err)
	}
	if len(kept.Spec.PolicyTypes) == 0 {
		kept.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(kept.Spec.Egress) > 0 {
			kept.Spec.PolicyTypes = append(kept.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	for _, rule := range kept.Spec.Ingress {
		defaulted(rule.Ports)
	}
	for _, rule := range kept.Spec.Egress {
		defaulted(rule.Ports)
	}
	return &kept
}

func defaulted(ports []networkingv1.NetworkPolicyPort) {
	for index := range ports {
		if ports[index].Protocol == nil {
			tcp := v1.ProtocolTCP
			ports[index].Protocol = &tcp
		}
	}
}
